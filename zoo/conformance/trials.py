"""What all laws are tried with: sizes, seeds, random weights, comparisons."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from registry import Kind
from zoo.seeding import seed

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
    seed(11)


def vectors(length: int = T) -> Tensor:
    """Random x [B, length, D]."""
    return torch.randn(B, length, D, dtype=torch.float64)


def call(module: nn.Module, given: Tensor) -> Tensor:
    """What the module gives."""
    return module(given)


def as_given(given: Tensor) -> list[int]:
    """The shape of an output that has a vector for each one given."""
    return [len(given), given.shape[1], D]


@dataclass(frozen=True)
class Part:
    """What laws are tried on: a part as its spec describes it, or a plain module."""

    kind: Kind
    spec: Any
    """None for a plain module."""
    make: Callable[[], Any]
    """Builds it with random weights."""
    run: Callable[[Any, Tensor], Tensor] = call
    """What it gives for data, once it is made."""
    data: Callable[[], Tensor] = vectors
    """Random data that it takes."""
    shape: Callable[[Tensor], list[int]] = as_given
    """The sizes that its output must start with, for the data given."""
    lacks: Mapping[str, str] = field(default_factory=dict)
    """What laws may need and it has not, such as a role, each with the reason."""
    expected: Mapping[str, str] = field(default_factory=dict)
    """Why it is known to break laws, by their names: what its spec's `expected_failures` documents."""
    name: str = ""
    """Of a plain module, for reports."""


@dataclass(frozen=True)
class Law:
    """One named check of a part."""

    check: Callable[[Part], None]
    """Raises AssertionError where the part breaks the law; its docstring starts with the law in one sentence."""
    needs: tuple[str, ...] = ()
    """What the part must have for it, of the keys of `Part.lacks`."""
    is_slow: bool = False
    """Whether it takes seconds, so that it has to be asked for."""

    @property
    def name(self) -> str:
        """That of the check."""
        return self.check.__name__

    @property
    def text(self) -> str:
        """The law in one sentence."""
        first = (self.check.__doc__ or "").strip().partition("\n\n")[0]
        return " ".join(first.split())

    def unless(self, part: Part) -> str:
        """Why it says nothing of this part; empty where it does."""
        return next((part.lacks[need] for need in self.needs if need in part.lacks), "")
