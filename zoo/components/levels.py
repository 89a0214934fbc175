"""The level of a series: what it is shifted and divided by, so that series of any size are alike to a model."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from registry import Spec

Scaling = Literal["none", "standard", "mean_size"]


def brings_to_level(inputs: Spec) -> bool:
    """Whether an embedding of this spec brings each series to a level itself, see zoo.kinds.embedding."""
    return getattr(inputs, "scaling", "none") != "none"


def level_of(series: Tensor, scaling: Scaling, eps: float) -> tuple[Tensor, Tensor]:
    """What a series is less of, and divided by: series [B, T] -> mean [B, 1] and scale [B, 1], in fp32 at least.

    standard: its mean, and √(its variance + eps). mean_size: 0, and the mean of its sizes without their signs, eps at
    least. none: 0 and 1.
    """
    series = series.to(torch.promote_types(series.dtype, torch.float32))
    zeros = series.new_zeros(len(series), 1)
    if scaling == "none":
        return zeros, zeros + 1
    if scaling == "mean_size":
        return zeros, series.abs().mean(1, keepdim=True).clamp(min=eps)
    variance = series.var(1, correction=0, keepdim=True)
    return series.mean(1, keepdim=True), (variance + eps).sqrt()
