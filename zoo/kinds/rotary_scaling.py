"""Rotary scaling: what slows rotary positions down, for sequences longer than those of training."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from registry import Kind


class RotaryScaling(Protocol):
    """check(size=) of the spec; `follows_length`: True where the length of the sequence matters."""

    def __call__(self, base: float, size: int, length: int, device: torch.device) -> tuple[Tensor, float]:
        """Radians a token of each pair, float64 [size / 2], and the factor by which queries and keys grow; size
        features turn, the sequence has length tokens.
        """
        ...


ROTARY_SCALING = Kind(
    "rotary_scaling",
    package="zoo.components.rotary_scaling",
    context=(),
    check=("size",),
    summary="slows rotary positions down, for sequences longer than those of training",
    contract=RotaryScaling,
)
