"""Norm: what normalises each position's vector."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from registry import Kind
from zoo.kinds._sizes import sized


class Norm(Protocol):
    """check(d_model=) of the spec."""

    def __call__(self, x: Tensor) -> Tensor:
        """x [B, T, D] -> [B, T, D]."""
        ...


NORM = Kind(
    "norm",
    package="zoo.components.norm",
    context=("d_model",),
    check=("d_model",),
    calls=sized("d_model"),
    summary="normalises each position's vector",
    contract=Norm,
)
