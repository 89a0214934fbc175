"""Tensors from a checkpoint into a model and back, one at a time, by a family's rules."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from zoo.errors import DataError
from zoo.interop.checkpoint import some
from zoo.interop.family import Family
from zoo.interop.rules import Rule, Rules, chosen, names_of
from zoo.interop.variants import is_table
from zoo.storage.tensors import Promised, Readable, scratch
from zoo.storage.weights import first_names


@dataclass(frozen=True)
class _Step:
    """One rule as it applies: tensors of ours from tensors of theirs."""

    rule: Rule
    theirs: list[Tensor]
    """Their shapes and dtypes as our model makes them, on the meta device."""
    is_copy: bool
    """Whether an earlier rule has filled these tensors, for ours are tied."""


def fill(
    model: nn.Module,
    rules: Rules,
    given: Mapping[str, Readable],
    *,
    where: str,
    dtype: torch.dtype | None,
    ignored: Sequence[str] = (),
    left_out: Sequence[str] = (),
    others: Callable[[], Sequence[str]] = tuple,
) -> list[str]:
    """Fills every tensor of a model from those given, which must all be used; memory is needed for the model only.

    dtype converts what is given; with None it must be of one floating dtype, which the model then has. ignored are
    regular expressions of names that may be left over, left_out names with * and ? of further ones. others finds the
    classes that the tensors are whole models of, where some are missing for this one. Returns what is to be said of
    tensors left out by the latter, and of tensors made anew.
    Raises: DataError for tensors that are missing, left over, of the wrong shape, of several dtypes, or unequal where
    they should be copies of one.
    """
    state = model.state_dict(keep_vars=True)
    steps = _steps(rules, state, set(given))
    found = _mismatches(steps, given)
    problems, dtypes = _told(found, given, where, ignored, left_out, others), found.dtypes
    if dtype is None and len(dtypes) > 1:
        counts = ", ".join(f"{n} of {str(each).removeprefix('torch.')}" for each, n in dtypes.items())
        problems.append(
            f"{where}: the tensors are of several types ({counts}); say which is wanted (--dtype)"
        )
    if problems:
        raise DataError("\n".join(problems))
    remarks = []
    names = {name for step in steps for name in (*step.rule.theirs, *step.rule.copies)}
    if extra := [name for name in sorted(given) if name not in names and _is_like(name, left_out)]:
        remarks.append(f"{where}: left out, as asked for: {', '.join(extra)}")

    first = first_names(state)
    values: dict[str, Tensor] = {}
    reader = _Reader(given, where, dtype)
    for step in steps:
        if step.is_copy:
            reader.check_copy(step, [values[first[name]] for name in step.rule.ours])
        elif step.rule.table is not None:
            if not step.rule.is_free:
                reader.check_table(step.rule.theirs[0], step.rule.table())
        else:
            if step.rule.anew is not None and step.rule.theirs[0] not in given:
                remarks.append(
                    f"{where}: {step.rule.theirs[0]!r} is missing and made anew: {step.rule.anew.text}"
                )
            for name, value in zip(step.rule.ours, reader.values(step), strict=True):
                old = state[name]
                is_parameter = isinstance(old, nn.Parameter)
                values[first[name]] = nn.Parameter(value, old.requires_grad) if is_parameter else value
    unfilled = sorted(name for name in state if first[name] not in values)
    assert not unfilled, f"no rule fills {some(unfilled)}"
    model.load_state_dict({name: values[first[name]] for name in state}, strict=True, assign=True)
    left = [name for name, tensor in [*model.named_parameters(), *model.named_buffers()] if tensor.is_meta]
    assert not left, f"a checkpoint cannot fill {some(left)}: a part keeps it out of its state"
    return remarks


def promised(model: nn.Module, rules: Rules) -> dict[str, Promised]:
    """Every tensor of a model as transformers names and shapes it on disk, made when it is asked for."""
    state = model.state_dict(keep_vars=True)
    found: dict[str, Promised] = {}
    filled: set[str] = set()
    for step in _steps(rules, state, ()):
        if step.is_copy:
            continue
        filled |= set(step.rule.ours)
        for i, (name, meta) in enumerate(zip(step.rule.theirs, step.theirs, strict=True)):
            assert name not in found, f"two rules write {name}"

            def make(rule: Rule = step.rule, i: int = i) -> Tensor:
                if rule.table is not None:
                    return rule.table()
                return rule.to_theirs([state[name].detach() for name in rule.ours])[i]

            found[name] = Promised(meta.dtype, tuple(meta.shape), make)
    first = first_names(state)
    lost = sorted(name for name in state if first[name] not in {first[each] for each in filled})
    assert not lost, f"no rule writes {some(lost)}"
    return found


def _steps(rules: Rules, state: Mapping[str, Tensor], present: set[str] | tuple[str, ...]) -> list[_Step]:
    """The rules that apply to a model with these tensors, in order."""
    first = first_names(state)
    filled: set[str] = set()
    steps: list[_Step] = []
    for rule in chosen(rules, present):
        there = [name in state for name in rule.ours]
        if rule.table is not None:
            steps.append(_Step(rule, [rule.table().to("meta")], is_copy=False))
        elif any(there):
            assert all(there), f"our model has only some of {', '.join(rule.ours)}"
            firsts = {first[name] for name in rule.ours}
            theirs = rule.to_theirs([state[name].detach().to("meta") for name in rule.ours])
            assert len(theirs) == len(rule.theirs), (
                f"a rule gives {len(theirs)} tensors for {', '.join(rule.theirs)}"
            )
            steps.append(_Step(rule, theirs, is_copy=firsts <= filled))
            filled |= firsts
    return steps


def by_rules_names(family: Family, rules: Rules, given: Mapping[str, Readable]) -> dict[str, Readable]:
    """The tensors given by the names that the rules know: old names renewed, the base model's prefix put or taken."""
    expected = names_of(rules)
    found: dict[str, Readable] = {}
    for original, tensor in given.items():
        name = original
        for pattern, replacement in family.renamed:
            name = re.sub(pattern, replacement, name)
        if name not in expected and family.prefix:
            options = (family.prefix + name, name.removeprefix(family.prefix))
            name = next((option for option in options if option in expected and option not in given), name)
        found[original if name in found or name not in expected else name] = tensor
    return found


def _is_like(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


@dataclass(frozen=True)
class _Mismatches:
    """What is wrong with the tensors given, and how many are of which dtype."""

    missing: list[str]
    shapes: list[str]
    """Those of another shape, or without floating numbers, in words."""
    over: list[str]
    """Those that no rule uses."""
    dtypes: dict[torch.dtype, int]
    expected: set[str]
    """The names that the rules use."""


def fits(model: nn.Module, rules: Rules, given: Mapping[str, Readable]) -> bool:
    """Whether all tensors that a model needs are among those given."""
    found = _mismatches(_steps(rules, model.state_dict(keep_vars=True), set(given)), given)
    return not found.missing and not found.shapes


def _mismatches(steps: Sequence[_Step], given: Mapping[str, Readable]) -> _Mismatches:
    missing: list[str] = []
    shapes: list[str] = []
    expected: set[str] = set()
    used: set[str] = set()
    dtypes: dict[torch.dtype, int] = {}
    for step in steps:
        expected |= {*step.rule.theirs, *step.rule.copies}
        names = [name for name in (*step.rule.theirs, *step.rule.copies) if name in given]
        used |= set(names)
        is_optional = step.is_copy or step.rule.table is not None or step.rule.anew is not None
        if not names or (not step.rule.copies and len(names) < len(step.rule.theirs)):
            if names or not is_optional:
                missing += [name for name in step.rule.theirs if name not in given]
            continue
        for i, name in enumerate(names):
            meta = step.theirs[0 if step.rule.copies else i]
            tensor = given[name]
            if tuple(meta.shape) != tuple(tensor.shape):
                shapes.append(f"{name!r} has the shape {list(tensor.shape)} instead of {list(meta.shape)}")
            if not tensor.dtype.is_floating_point and meta.dtype.is_floating_point:
                shapes.append(
                    f"{name!r} holds {str(tensor.dtype).removeprefix('torch.')} instead of floating numbers"
                )
            elif step.rule.table is None:
                dtypes[tensor.dtype] = dtypes.get(tensor.dtype, 0) + 1
    over = sorted(name for name in given if name not in used)
    return _Mismatches(missing, shapes, over, dtypes, expected)


def _told(
    found: _Mismatches,
    given: Mapping[str, Readable],
    where: str,
    ignored: Sequence[str],
    left_out: Sequence[str],
    others: Callable[[], Sequence[str]],
) -> list[str]:
    """A line for each sort of mistake.

    That tensors left over be left out is advised only where the rest is a whole model of the config, for transformers
    leaves them out as well.
    """
    patterns = [re.compile(pattern) for pattern in ignored]
    extra = [
        name
        for name in found.over
        if not any(pattern.search(name) for pattern in patterns) and not _is_like(name, left_out)
    ]
    problems = [
        f"{where}: to be left out is {pattern!r}, and no tensor beside the model's own is called so"
        for pattern in left_out
        if not any(_is_like(name, [pattern]) for name in found.over)
    ]
    if found.missing:
        text = f"{where}: missing for a model of this config: {some(found.missing)}"
        if found.missing == ["lm_head.weight"]:
            text = f"{text}, a matrix for the output that models of this config have beside that of the embedding"
        if classes := others():
            text = f"{text}; the tensors of a {' or a '.join(classes)} are all there (--architecture {classes[0]})"
        problems.append(text)
    if extra:
        text = f"{where}: no part of a model of this config: {some(extra)}"
        known = {_unnumbered(name) for name in found.expected}
        if more := [name for name in extra if _unnumbered(name) in known]:
            text = f"{text}; {more[0]!r} is of a layer or expert more than the config counts"
        elif not found.missing and not found.shapes:
            advice = " ".join(f"--ignore-tensor {name}" for name in _as_patterns(extra))
            text = f"{text}; if they mean nothing, leave them out by name ({advice})"
        problems.append(text)
    if found.shapes:
        more_shapes = f" and {len(found.shapes) - 4} more" if len(found.shapes) > 4 else ""
        problems.append(f"{where}: {'; '.join(found.shapes[:4])}{more_shapes}")
    return problems


def _unnumbered(name: str) -> str:
    """A tensor's name without the numbers of layers and experts."""
    return re.sub(r"(?<=\.)\d+(?=\.)", "#", name)


def _as_patterns(names: Sequence[str]) -> list[str]:
    """What holds for all of these names: one alone in its module by itself, and a pattern for each other module."""
    modules = [name.rpartition(".")[0] for name in names]
    return list(
        dict.fromkeys(
            f"'{module}.*'" if module and modules.count(module) > 1 else name
            for name, module in zip(names, modules, strict=True)
        )
    )


class _Reader:
    """Reads what steps need; tensors to be reshaped into one room, used again and again."""

    def __init__(self, given: Mapping[str, Readable], where: str, dtype: torch.dtype | None) -> None:
        self.given = given
        self.where = where
        self.dtype = dtype
        self.room = scratch(0)

    def values(self, step: _Step) -> list[Tensor]:
        """Our tensors of a step, each in memory of its own."""
        rule = step.rule
        names = list(rule.theirs)
        if rule.anew is not None and names[0] not in self.given:
            some_dtype = self.dtype or next(iter(self.given.values())).dtype
            made = rule.anew.make(torch.empty(step.theirs[0].shape)).to(some_dtype)
            return [part.clone() for part in rule.to_ours([made])]
        if rule.copies:
            first, *others = [name for name in (*rule.theirs, *rule.copies) if name in self.given]
            for name in others:
                self._check_equal(name, self.given[first].blocks(), f"a copy of {first!r}")
            names = [first]
        if not rule.operations:
            value = torch.empty(self.given[names[0]].shape, dtype=self._dtype_of(names[0]))
            self.given[names[0]].read_into(value)
            return [value]
        return [
            part.clone(memory_format=torch.contiguous_format) for part in rule.to_ours(self._in_room(names))
        ]

    def check_copy(self, step: _Step, known: Sequence[Tensor]) -> None:
        """A tied tensor that a checkpoint holds a second time must be the same there."""
        names = step.rule.theirs
        if not all(name in self.given for name in names):
            return
        what = "the tensor that the config ties it to"
        if not step.rule.operations:
            self._check_equal(names[0], iter([known[0].detach().flatten()]), what)
        else:
            pairs = zip(step.rule.to_ours(self._in_room(names)), known, strict=True)
            if not all(torch.equal(made, value) for made, value in pairs):
                raise DataError(f"{self.where}: {names[0]!r} should be {what}, and differs from it")

    def check_table(self, name: str, table: Tensor) -> None:
        """What is a fixed table must be that one, as far as its dtype tells."""
        if name not in self.given:
            return
        if not is_table(self.given[name], table, self.dtype):
            raise DataError(f"{self.where}: {name!r} should be a fixed table, and differs from it")

    def _check_equal(self, name: str, known: Iterator[Tensor], what: str) -> None:
        """Compares block by block; known may come in other blocks."""
        left = torch.empty(0)
        for block in self.given[name].blocks():
            while len(block):
                left = left if len(left) else next(known)
                n = min(len(left), len(block))
                if not torch.equal(block[:n].to(left.dtype), left[:n]):
                    raise DataError(f"{self.where}: {name!r} should be {what}, and differs from it")
                left, block = left[n:], block[n:]

    def _in_room(self, names: Sequence[str]) -> list[Tensor]:
        """Tensors read side by side into the room, valid until it is used again."""
        tensors = [self.given[name] for name in names]
        sizes = [
            math.prod(tensor.shape) * self._dtype_of(name).itemsize
            for name, tensor in zip(names, tensors, strict=True)
        ]
        starts = [sum(-(-size // 64) * 64 for size in sizes[:i]) for i in range(len(sizes))]
        if len(self.room) < (needed := starts[-1] + sizes[-1]):
            self.room = scratch(0)  # the old one goes first
            self.room = scratch(needed)
        found = []
        for name, tensor, start, size in zip(names, tensors, starts, sizes, strict=True):
            out = self.room[start : start + size].view(self._dtype_of(name)).view(tensor.shape)
            tensor.read_into(out)
            found.append(out)
        return found

    def _dtype_of(self, name: str) -> torch.dtype:
        own = self.given[name].dtype
        return self.dtype if self.dtype is not None and own.is_floating_point else own
