"""YaRN: slow pairs slowed, fast ones kept, and attention sharpened."""

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


class YarnScalingSpec(Spec):
    type: Literal["yarn"] = "yarn"
    factor: float = Field(ge=1, le=10_000)
    """How many times longer sequences become."""
    original_max_len: int = Field(ge=1, le=100_000_000)
    """Length of the sequences in training."""
    beta_fast: float = Field(32.0, gt=0, le=1e6)
    """Pairs that turn more often than this within original_max_len keep their speed."""
    beta_slow: float = Field(1.0, gt=0, le=1e6)
    """Pairs that turn less often than this within original_max_len are slowed by the whole factor."""
    truncate: bool = True
    """Whether the two borders are rounded outwards to whole pairs."""
    attention_factor: float | None = Field(None, gt=0, le=1e3)
    """By what queries and keys grow; None: from factor, 0.1 · ln(factor) + 1."""
    mscale: float | None = Field(None, gt=0, le=1e3)
    """With mscale_all_dim, queries and keys grow by the ratio of 0.1 · m · ln(factor) + 1 for the two (DeepSeek)."""
    mscale_all_dim: float | None = Field(None, gt=0, le=1e3)
    """See mscale."""

    @model_validator(mode="after")
    def _one_magnitude(self) -> YarnScalingSpec:
        if (self.mscale is None) != (self.mscale_all_dim is None):
            raise ValueError("mscale and mscale_all_dim go together: give both or none")
        if self.attention_factor is not None and self.mscale is not None:
            raise ValueError("attention_factor and mscale say the same thing: give one of them")
        if self.beta_fast < self.beta_slow:
            raise ValueError(
                f"beta_fast ({self.beta_fast:g}) must be at least beta_slow ({self.beta_slow:g})"
            )
        return self


@ROTARY_SCALING.register(
    "yarn",
    spec=YarnScalingSpec,
    examples=[
        {"factor": 3.0, "original_max_len": 20, "beta_fast": 2.0, "beta_slow": 0.25},
        {"factor": 3.0, "original_max_len": 20, "truncate": False, "mscale": 0.7, "mscale_all_dim": 0.4},
    ],
)
@dataclass(frozen=True, kw_only=True)
class YarnScaling:
    """Slows the slow pairs by the factor, leaves the fast ones, blends between; and sharpens the attention.

    Source: Peng et al. 2023 (YaRN), section 3.2 and equation 22; truncate and mscale by the code of its authors and
        of DeepSeek-V2.
    """

    factor: float
    original_max_len: int
    beta_fast: float
    beta_slow: float
    truncate: bool
    attention_factor: float | None
    mscale: float | None
    mscale_all_dim: float | None

    def __call__(self, base: float, size: int, length: int, device: torch.device) -> tuple[Tensor, float]:
        low, high = self._pair(self.beta_fast, base, size), self._pair(self.beta_slow, base, size)
        if self.truncate:
            low, high = math.floor(low), math.ceil(high)
        low, high = max(low, 0), min(high, size - 1)
        high = high + 0.001 if low == high else high  # else 0 / 0 below
        pairs = torch.arange(size // 2, dtype=torch.float64, device=device)
        slowed = ((pairs - low) / (high - low)).clamp(0, 1)
        fast = turns(base, size, device)
        return slowed * fast / self.factor + (1 - slowed) * fast, self._magnitude()

    def _pair(self, n_turns: float, base: float, size: int) -> float:
        """The pair, a fraction between two, that turns so often within original_max_len."""
        return size * math.log(self.original_max_len / (n_turns * 2 * math.pi)) / (2 * math.log(base))

    def _magnitude(self) -> float:
        if self.attention_factor is not None:
            return self.attention_factor
        if self.mscale is not None and self.mscale_all_dim is not None:
            return self._growth(self.mscale) / self._growth(self.mscale_all_dim)
        return self._growth(1.0)

    def _growth(self, mscale: float) -> float:
        return 0.1 * mscale * math.log(self.factor) + 1
