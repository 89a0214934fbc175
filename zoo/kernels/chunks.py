"""What the chunked kernels share: how much work goes through at once, and the dropout of attention weights."""

from __future__ import annotations

import torch

from zoo.kernels.dropout import keep_mask

_CPU_SCORES = 1 << 19  # 2 MB in float32, what a core's cache holds: the best of 2^17 to 2^20
_OTHER_SCORES = 1 << 26  # a GPU wants few large launches


def chunks(n_items: int, scores_each: int, device: torch.device) -> tuple[int, list[slice]]:
    """Cuts n_items, each with so many attention scores: how many go at once at most, and which."""
    budget = _CPU_SCORES if device.type == "cpu" else _OTHER_SCORES
    size = min(n_items, max(1, budget // scores_each))
    return size, [slice(start, min(start + size, n_items)) for start in range(0, n_items, size)]


def kept_weights(shape: torch.Size, dropout: float, device: torch.device) -> tuple[torch.Tensor | None, float]:
    """Which weights dropout keeps, and the factor that makes up for the others; None, 1 without dropout."""
    if dropout == 0.0:
        return None, 1.0
    if device.type == "cpu":
        return keep_mask(shape, dropout)
    return torch.rand(shape, device=device) >= dropout, 1.0 / (1.0 - dropout)
