"""LLaMA 3.1's blend of slowed and kept pairs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from registry import Spec
from zoo.kernels.rotary import turns
from zoo.kinds import ROTARY_SCALING


class Llama3ScalingSpec(Spec):
    type: Literal["llama3"] = "llama3"
    factor: float = Field(ge=1, le=10_000)
    """By what the slow pairs are slowed."""
    original_max_len: int = Field(ge=1, le=100_000_000)
    """Length of the sequences in training."""
    low_freq_factor: float = Field(1.0, gt=0, le=1e6)
    """Pairs that turn less often than this within original_max_len are slowed by the whole factor."""
    high_freq_factor: float = Field(4.0, gt=0, le=1e6)
    """Pairs that turn more often than this within original_max_len keep their speed."""

    @model_validator(mode="after")
    def _in_order(self) -> Llama3ScalingSpec:
        if self.high_freq_factor <= self.low_freq_factor:
            raise ValueError(
                f"high_freq_factor ({self.high_freq_factor:g}) must be above low_freq_factor "
                f"({self.low_freq_factor:g})"
            )
        return self


@ROTARY_SCALING.register(
    "llama3",
    spec=Llama3ScalingSpec,
    examples=[{"factor": 3.0, "original_max_len": 20, "low_freq_factor": 0.5, "high_freq_factor": 2.5}],
)
@dataclass(frozen=True, kw_only=True)
class Llama3Scaling:
    """Slows the slow pairs by the factor, leaves the fast ones, blends by how often a pair turns between.

    Source: LLaMA 3.1's published code (apply_scaling); Grattafiori et al. 2024.
    """

    factor: float
    original_max_len: int
    low_freq_factor: float
    high_freq_factor: float

    def __call__(self, base: float, size: int, length: int, device: torch.device) -> tuple[Tensor, float]:
        fast = turns(base, size, device)
        n_turns = self.original_max_len * fast / (2 * math.pi)
        kept = (n_turns - self.low_freq_factor) / (self.high_freq_factor - self.low_freq_factor)
        kept = kept.clamp(0, 1)
        return (1 - kept) * fast / self.factor + kept * fast, 1.0
