"""What all laws are tried with: sizes, seeds, random weights, comparisons."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from registry import Spec

Law = Callable[[Spec], None]
"""Takes the spec of a part, builds it and raises AssertionError where the part breaks the law."""

B, T, S, D, H, V = 2, 5, 7, 12, 3, 31
TOLERANCE = 1e-10


def require(holds: bool, text: str) -> None:
    """Raises AssertionError with the text unless it holds."""
    if not holds:
        raise AssertionError(text)


def same(ours: Tensor, theirs: Tensor, text: str) -> None:
    """Raises AssertionError unless both have one shape and differ by rounding at most."""
    require(ours.shape == theirs.shape, f"{text}: shapes {list(ours.shape)} and {list(theirs.shape)}")
    difference = (ours - theirs).abs().max().item() if ours.numel() else 0.0
    require(difference <= TOLERANCE, f"{text}: they differ by {difference:.3g}")


def randomised(module: nn.Module) -> nn.Module:
    """In float64, in evaluation mode, every parameter moved, so that no gain of one or bias of zero hides a mistake."""
    module = module.double().eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return module


def seeded() -> None:
    """Makes what is drawn next the same at each call."""
    torch.manual_seed(11)


def vectors(length: int = T) -> Tensor:
    """Random x [B, length, D]."""
    return torch.randn(B, length, D, dtype=torch.float64)
