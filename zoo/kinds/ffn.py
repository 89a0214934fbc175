"""Feed-forward: what transforms each position by itself."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from registry import Kind
from zoo.kinds._sizes import sized


class FeedForward(Protocol):
    """check(d_model=) of the spec; `auxiliary_loss`, if it has one: the scalar that its last forward in training adds
    to the loss, weighted, or None; `gives_nothing` of the spec: whether it is none. roles(), if it has that:
    what its matrices are for, see zoo.kinds.Role.
    """

    def __call__(self, x: Tensor) -> Tensor:
        """x [B, T, D] -> [B, T, D]."""
        ...


FFN = Kind(
    "ffn",
    package="zoo.components.ffn",
    context=("d_model",),
    check=("d_model",),
    calls=sized("d_model"),
    summary="transforms each position by itself",
    contract=FeedForward,
)
