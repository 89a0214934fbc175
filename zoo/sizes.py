"""How large a part is, by the formula its spec says; a part that says none is built once, where nothing is allocated.

A spec may have two methods, which its kind calls with the names that it lists:
    n_parameters(...) -> int: the values of the module, trained and frozen, those of other parts (a tied matrix) not.
    n_kept(..., batch) -> int: the values that a training step keeps of a batch from the forward to the backward pass:
        what the part's products and functions read, its parameters not; within a tenth of what torch saves.
A formula is that of the class it stands in: a subclass may have further weights, so what it inherits is not asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from registry import Kind, Spec
from zoo.kinds import EMBEDDING


@dataclass(frozen=True)
class Batch:
    """What a training step is taken on."""

    n_tokens: int
    """Tokens of all its sequences."""
    length: int
    """Tokens of each sequence."""
    memory_length: int | None = None
    """Tokens of each memory that a cross-attention reads; None: as many."""
    is_half: bool = False
    """Whether products are computed in a type of two bytes."""
    is_on_cpu: bool = True
    """Whether a CPU computes, whose kernels for short sequences keep more."""

    @property
    def n_rows(self) -> int:
        """B: sequences, at least one."""
        return max(1, self.n_tokens // self.length)

    @property
    def n_keys(self) -> int:
        """S: tokens of what an attention attends to."""
        return self.length if self.memory_length is None else self.memory_length


def n_parameters(kind: Kind, spec: Spec, **context: Any) -> int:
    """The values of the part that a spec describes, in the context that its kind names."""
    formula = own_method(spec, "n_parameters")
    if formula is not None:
        return formula(**context)
    return _counted(kind, spec, tuple((name, frozen(value)) for name, value in context.items()))


def n_kept(kind: Kind, spec: Spec, *, batch: Batch, **context: Any) -> int:
    """The values that a training step keeps of a part; for one that says nothing, its input and its products'."""
    formula = own_method(spec, "n_kept")
    if formula is not None:
        return formula(batch=batch, **context)
    d_model = int(context["d_model"] if "d_model" in context else getattr(spec, "d_model", 1))
    # A matrix [N, D] gives N values a token for each D of its own.
    return batch.n_tokens * (d_model + n_parameters(kind, spec, **context) // d_model)


def linear_size(n_in: int, n_out: int, *, bias: bool) -> int:
    """The parameters of a linear map."""
    return (n_in + bias) * n_out


def on_meta(make: Callable[[], nn.Module]) -> nn.Module:
    """What `make` builds, on the meta device: shapes without memory, and no random numbers drawn."""
    with torch.device("meta"), _Undrawn():
        return make()


def own_method(spec: Spec, name: str) -> Callable[..., Any] | None:
    """A method of the spec's class, or of a base that is no part: what it inherits of a part is that part's formula."""
    for home in type(spec).__mro__:
        if home is not type(spec) and "type" in getattr(home, "model_fields", ()):
            return None
        if name in vars(home):
            return getattr(spec, name)
    return None


def frozen(value: Any) -> Any:
    """A value of a context as what can be a key."""
    return tuple(value.items()) if isinstance(value, Mapping) else value


@lru_cache(maxsize=1024)
def _counted(kind: Kind, spec: Spec, context: tuple[tuple[str, Any], ...]) -> int:
    """The parameters of a part that is built for it, those of the embeddings it is handed left out."""
    others: list[int] = []
    part = built(kind, spec, dict(context), others=others)
    if not isinstance(part, nn.Module):
        return 0  # such as a function that scales positions
    return sum(parameter.numel() for parameter in part.parameters() if id(parameter) not in others)


def built(kind: Kind, spec: Spec, context: Mapping[str, Any], *, others: list[int] | None = None) -> Any:
    """The part on the meta device; to `others` are added the ids of parameters of the embeddings it is handed."""
    given = {name: value for name, value in context.items() if name in kind.context}
    embeddings = dict(given.get("embeddings", ()))

    def make() -> nn.Module:
        if "dropout" in kind.context:
            given["dropout"] = 0.0
        if embeddings:
            made = {name: EMBEDDING.build(one, d_model=given["d_model"]) for name, one in embeddings.items()}
            if others is not None:
                others.extend(id(parameter) for part in made.values() for parameter in part.parameters())
            given["embeddings"] = made
        return kind.build(spec, **given)

    return on_meta(make)


class _Undrawn(TorchFunctionMode):
    """Leaves random numbers undrawn: on the meta device torch would import its compiler for them, in 2 s."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        keywords = kwargs or {}
        if getattr(func, "__name__", "") in ("normal_", "uniform_", "trunc_normal_"):
            return args[0] if args else keywords["tensor"]
        return func(*args, **keywords)


def dividing(wrong: int, whole: int) -> str:
    """The numbers next to a wrong one that divide a whole: "as 4 and 8 do"."""
    below = next(n for n in range(min(wrong, whole), 0, -1) if whole % n == 0)
    above = next((n for n in range(wrong, whole + 1) if whole % n == 0), below)
    return f"as {below} does" if below == above else f"as {below} and {above} do"
