"""Head: what turns the last layer's output into the task's output."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from registry import Kind
from zoo.kinds._sizes import sized


class Head(Protocol):
    """embeddings maps the model's names (such as source, target) to its embedding modules; check(d_model=, embeddings=)
    of the spec with their specs. `learns` of the spec: what it learns from, None where it has no loss; then
    loss(hidden, targets, ...) -> Sums, called as zoo.losses.Learns says of it.
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
