"""What several kernels share: the size of a piece of work, dropout of weights, autocast and compilers kept
out."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeVar

import torch
from torch import Tensor

from zoo.kernels.dropout import keep_mask

_Result = TypeVar("_Result")
_CPU_SCORES = 1 << 19  # 2 MB in float32, what a core's cache holds: the best of 2^17 to 2^20
_OTHER_SCORES = 1 << 26  # a GPU wants few large launches


def most_scores(device: torch.device) -> int:
    """Attention scores that should be worked on at once at most."""
    return _CPU_SCORES if device.type == "cpu" else _OTHER_SCORES


def kept_weights(shape: torch.Size, dropout: float, device: torch.device) -> tuple[Tensor | None, float]:
    """Which weights dropout keeps, and the factor that makes up for the others; None, 1 without dropout."""
    if dropout == 0.0:
        return None, 1.0
    if device.type == "cpu":
        return keep_mask(shape, dropout)
    return torch.rand(shape, device=device) >= dropout, 1.0 / (1.0 - dropout)


def outside_graphs(function: Callable[..., _Result]) -> Callable[..., _Result]:
    """The function as torch.compile should call it, untraced: it has nothing to gain from a loop over
    buffers.

    Asked at each call, for `torch.compiler.disable` loads the compiler, which takes seconds where none is in
    use."""
    return torch.compiler.disable(function) if torch.compiler.is_compiling() else function


def autocasts(device: torch.device) -> bool:
    """Whether autocast is on for this kind of device; the meta device knows none."""
    return torch.amp.is_autocast_available(device.type) and torch.is_autocast_enabled(device.type)


def without_autocast(device: torch.device) -> AbstractContextManager[object]:
    """A context in which products keep the dtype of their factors."""
    return torch.autocast(device.type, enabled=False) if autocasts(device) else contextlib.nullcontext()
