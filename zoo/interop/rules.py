"""What ties our tensors to those of a checkpoint: tables of names and reshapes that are read in both directions.

A family lists rules; each names some tensors of ours, some of theirs, and the operations that lead from theirs to ours.
Names may hold `{i}`, the number of a layer, and `{e}`, that of an expert.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import torch
from torch import Tensor


class Operation(Protocol):
    """One step between their tensors and ours, and back."""

    def to_ours(self, theirs: list[Tensor]) -> list[Tensor]:
        """Their tensors -> ours."""
        ...

    def to_theirs(self, ours: list[Tensor]) -> list[Tensor]:
        """Our tensors -> theirs."""
        ...


@dataclass(frozen=True)
class Transpose:
    """Their matrices are [in, out], such as those of GPT-2's Conv1D; vectors stay."""

    def to_ours(self, theirs: list[Tensor]) -> list[Tensor]:
        """[in, out] -> [out, in]."""
        return [tensor.t() if tensor.dim() == 2 else tensor for tensor in theirs]

    def to_theirs(self, ours: list[Tensor]) -> list[Tensor]:
        """[out, in] -> [in, out]."""
        return self.to_ours(ours)


@dataclass(frozen=True)
class Split:
    """Each of theirs is several of ours one after the other along an axis, such as q|k|v."""

    parts: int | tuple[int, ...]
    """How many of one size, or the sizes."""
    dim: int = 0

    def to_ours(self, theirs: list[Tensor]) -> list[Tensor]:
        """One tensor -> its parts."""
        found: list[Tensor] = []
        for tensor in theirs:
            if isinstance(self.parts, int):
                found += tensor.split(tensor.shape[self.dim] // self.parts, dim=self.dim)
            else:
                found += tensor.split(self.parts, dim=self.dim)
        return found

    def to_theirs(self, ours: list[Tensor]) -> list[Tensor]:
        """Parts -> one tensor."""
        n = self.parts if isinstance(self.parts, int) else len(self.parts)
        return [_joined(ours[i : i + n], self.dim) for i in range(0, len(ours), n)]


@dataclass(frozen=True)
class Interleaved:
    """Each of theirs has the rows of n of ours by turns, such as those of a gate and of what it gates (gpt-oss)."""

    n: int

    def to_ours(self, theirs: list[Tensor]) -> list[Tensor]:
        """[n · F, ...] -> n times [F, ...]."""
        return [part for tensor in theirs for part in tensor.unflatten(0, (-1, self.n)).unbind(1)]

    def to_theirs(self, ours: list[Tensor]) -> list[Tensor]:
        """N times [F, ...] -> [n · F, ...]."""
        return [_stacked(ours[i : i + self.n], 1).flatten(0, 1) for i in range(0, len(ours), self.n)]


@dataclass(frozen=True)
class SplitHeads:
    """Each of theirs has rows [G, n, K]: group by group its heads of queries, of keys and of values.

    With a group for each head these are its query, key and value (BLOOM, GPT-NeoX); with fewer, several queries stand
    before the key and the value that they share (Falcon).
    """

    n_groups: int
    parts: tuple[int, ...] = (1, 1, 1)
    """How many heads of each a group has."""

    def to_ours(self, theirs: list[Tensor]) -> list[Tensor]:
        """[G · n · K, ...] -> for each part [G · its heads · K, ...]."""
        return [
            part.flatten(0, 2)
            for tensor in theirs
            for part in tensor.unflatten(0, (self.n_groups, sum(self.parts), -1)).split(self.parts, dim=1)
        ]

    def to_theirs(self, ours: list[Tensor]) -> list[Tensor]:
        """For each part [G · its heads · K, ...] -> [G · n · K, ...]."""
        n = len(self.parts)
        heads = [tensor.unflatten(0, (self.n_groups, self.parts[i % n], -1)) for i, tensor in enumerate(ours)]
        return [_joined(heads[i : i + n], 1).flatten(0, 2) for i in range(0, len(heads), n)]


@dataclass(frozen=True)
class Unstack:
    """Each of theirs holds n of ours along a first axis of its own, such as the experts of a layer."""

    n: int

    def to_ours(self, theirs: list[Tensor]) -> list[Tensor]:
        """[n, ...] -> n times [...]."""
        return [part for tensor in theirs for part in tensor.unbind(0)]

    def to_theirs(self, ours: list[Tensor]) -> list[Tensor]:
        """N times [...] -> [n, ...]."""
        return [_stacked(ours[i : i + self.n], 0) for i in range(0, len(ours), self.n)]


@dataclass(frozen=True)
class Reshape:
    """The same numbers in the same order in another shape, such as [1, N, D] for [N, D]."""

    theirs: tuple[int, ...]
    ours: tuple[int, ...]

    def to_ours(self, theirs: list[Tensor]) -> list[Tensor]:
        """Their shape -> ours."""
        return [tensor.reshape(self.ours) for tensor in theirs]

    def to_theirs(self, ours: list[Tensor]) -> list[Tensor]:
        """Our shape -> theirs."""
        return [tensor.reshape(self.theirs) for tensor in ours]


def _joined(tensors: list[Tensor], dim: int) -> Tensor:
    """torch.cat; of tensors on the meta device only the shape, for there torch would import its compiler, in 2 s."""
    if not tensors[0].is_meta:
        return torch.cat(tensors, dim=dim)
    shape = list(tensors[0].shape)
    shape[dim] = sum(tensor.shape[dim] for tensor in tensors)
    return tensors[0].new_empty(shape)


def _stacked(tensors: list[Tensor], dim: int) -> Tensor:
    return _joined([tensor.unsqueeze(dim) for tensor in tensors], dim)


@dataclass(frozen=True)
class Anew:
    """A tensor that transformers makes where a checkpoint has none, and calls that no fault."""

    make: Callable[[Tensor], Tensor]
    """An empty tensor of their shape -> it, filled."""
    text: str
    """How, and why it does no harm."""


@dataclass(frozen=True)
class Rule:
    """Some tensors of ours are some of theirs.

    A rule none of whose tensors our model has does not apply, so a table may list every bias there can be. One whose
    tensors are tied to those of an earlier rule is a copy that a checkpoint may leave out.
    """

    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    operations: tuple[Operation, ...] = ()
    """From theirs to ours, in this order."""
    copies: tuple[str, ...] = ()
    """Further names of their one tensor: any of them may hold it, and all that are there must be equal."""
    table: Callable[[], Tensor] | None = None
    """A rule without tensors of ours: what their tensor must be. It is computed here, and written there."""
    is_free: bool = False
    """Whether their table may hold anything, for it changes nothing."""
    anew: Anew | None = None
    """How their one tensor is made where a checkpoint has none; None: it must be there."""

    def to_ours(self, theirs: list[Tensor]) -> list[Tensor]:
        """Their tensors -> ours."""
        for operation in self.operations:
            theirs = operation.to_ours(theirs)
        return theirs

    def to_theirs(self, ours: list[Tensor]) -> list[Tensor]:
        """Our tensors -> theirs."""
        for operation in reversed(self.operations):
            ours = operation.to_theirs(ours)
        return ours

    def named(self, **numbers: int) -> Rule:
        """The rule with the names' places filled."""

        def fill(names: tuple[str, ...]) -> tuple[str, ...]:
            filled = names
            for place, number in numbers.items():
                filled = tuple(name.replace(f"{{{place}}}", str(number)) for name in filled)
            return filled

        return replace(self, ours=fill(self.ours), theirs=fill(self.theirs), copies=fill(self.copies))


@dataclass(frozen=True)
class Either:
    """Several namings of the same tensors: the first is how transformers writes them, any is read."""

    forms: tuple[tuple[Rule, ...], ...]

    def named(self, **numbers: int) -> Either:
        """With the names' places filled."""
        return Either(tuple(tuple(rule.named(**numbers) for rule in form) for form in self.forms))


Rules = list[Rule | Either]
Names = str | tuple[str, ...]


def tensor(
    ours: Names, theirs: Names, *operations: Operation, copies: Sequence[str] = (), anew: Anew | None = None
) -> Rules:
    """One rule by its full names."""
    return [Rule(_names(ours), _names(theirs), operations, tuple(copies), anew=anew)]


def module(ours: Names, theirs: Names, *operations: Operation) -> Rules:
    """The weights and the biases of modules; the biases only where ours have them."""
    return [
        Rule(
            tuple(f"{name}.{leaf}" for name in _names(ours)),
            tuple(f"{name}.{leaf}" for name in _names(theirs)),
            operations,
        )
        for leaf in ("weight", "bias")
    ]


def table(theirs: str, make: Callable[[], Tensor]) -> Rules:
    """A tensor of theirs that is a fixed table, which our model computes."""
    return [Rule((), (theirs,), table=make)]


def batch_norm(ours: str, theirs: str) -> Rules:
    """A batch normalisation with its running statistics; of how many batches these are changes nothing: 0 here."""
    n_batches = Rule(
        (),
        (f"{theirs}.num_batches_tracked",),
        table=partial(torch.zeros, (), dtype=torch.int64),
        is_free=True,
    )
    statistics = (f"running_{name}" for name in ("mean", "var"))
    return [
        *module(ours, theirs),
        *(rule for name in statistics for rule in tensor(f"{ours}.{name}", f"{theirs}.{name}")),
        n_batches,
    ]


def either(*forms: Rules) -> Rules:
    """Several namings of the same tensors, the one that transformers writes first."""
    plain = tuple(tuple(rule for rule in form if isinstance(rule, Rule)) for form in forms)
    assert [len(form) for form in forms] == [len(form) for form in plain], "either() within either()"
    return [Either(plain)]


def for_each(place: str, n: int, *groups: Rules) -> Rules:
    """The rules once for each number from 0 to n - 1, put where the names say `{place}`."""
    return [rule.named(**{place: number}) for number in range(n) for group in groups for rule in group]


def chosen(rules: Rules, present: Collection[str]) -> list[Rule]:
    """The rules with each Either decided: the form of which most names are present, of equals one that is whole."""
    found: list[Rule] = []
    for rule in rules:
        if isinstance(rule, Rule):
            found.append(rule)
        else:
            there = [[name in present for each in form for name in each.theirs] for form in rule.forms]
            ranks = [(sum(each), all(each)) for each in there]
            found += rule.forms[ranks.index(max(ranks))]
    return found


def all_rules(rules: Rules) -> Iterator[Rule]:
    """The rules of every naming there is."""
    for rule in rules:
        if isinstance(rule, Rule):
            yield rule
        else:
            yield from (each for form in rule.forms for each in form)


def names_of(rules: Rules) -> set[str]:
    """Every name that the rules know."""
    return {name for rule in all_rules(rules) for name in (*rule.theirs, *rule.copies)}


def _names(names: Names) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else names
