"""How fast the pairs of features of rotary positions turn."""

from __future__ import annotations

import torch
from torch import Tensor


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
