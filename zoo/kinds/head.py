"""Head: what turns the last layer's output into the task's output."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from registry import Kind
from zoo.kinds._sizes import sized


class Head(Protocol):
    """embeddings maps a name of the model (source, target, tokens, inputs) to its embedding module;
    check(d_model=, embeddings=) of the spec with their specs.
    """

    def __call__(self, hidden: Tensor, *, mask: Tensor | None = None) -> Tensor:
        """hidden [B, T, D], mask bool [B, T] | None -> [B, T, V] or what the task needs."""
        ...


HEAD = Kind(
    "head",
    package="zoo.components.head",
    context=("d_model", "embeddings"),
    check=("d_model", "embeddings"),
    calls=sized("d_model", "embeddings"),
    summary="turns the last layer's output into the task's output",
    contract=Head,
)
