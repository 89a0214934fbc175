"""Pairs of features that turn: which they are, how fast each turns, and the turn."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Pairing = Literal["half", "interleaved"]
"""Of K features i and i + K/2 turn together, or 2i and 2i + 1."""


def paired(first: Tensor, second: Tensor, pairing: Pairing) -> Tensor:
    """What belongs to the first and to the second feature of each pair, [..., K/2] each, in their order: [..., K]."""
    if pairing == "half":
        return torch.cat([first, second], dim=-1)
    return torch.stack([first, second], dim=-1).flatten(-2)


def turned(x: Tensor, cos: Tensor, sin: Tensor, pairing: Pairing) -> Tensor:
    """x cos(angle) ∓ partner(x) sin(angle), [..., K], with the sign in `sin`: three passes over x."""
    if pairing == "half":
        a, b = x.chunk(2, dim=-1)
        partner = torch.cat([b, a], dim=-1)
    else:
        partner = x.unflatten(-1, (-1, 2)).flip(-1).flatten(-2)
    return torch.addcmul(x * cos, partner, sin)


def turns(base: float, size: int, device: torch.device) -> Tensor:
    """base^(-2i/size) radians a token for pair i: float64 [size / 2]. Su et al. 2021, equation 15."""
    pairs = torch.arange(0, size, 2, dtype=torch.float64, device=device)
    return base ** (-pairs / size)


def ntk_base(base: float, size: int, factor: float) -> float:
    """The base with which the slowest pair turns slower by the factor and the fastest as before."""
    return base * factor ** (size / (size - 2))


def check_ntk(size: int) -> None:
    """Raises ValueError where there is no slowest pair besides the fastest."""
    if size < 4:
        raise ValueError(
            f"NTK scaling needs a fastest and a slowest pair: {size} features turn, at least 4 must"
        )
