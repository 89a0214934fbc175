"""Positions divided by one factor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from registry import Spec
from zoo.kernels.rotary import turns
from zoo.kinds import ROTARY_SCALING


class LinearScalingSpec(Spec):
    type: Literal["linear"] = "linear"
    factor: float = Field(ge=1, le=10_000)
    """How many times longer sequences become."""


@ROTARY_SCALING.register("linear", spec=LinearScalingSpec, examples=[{"factor": 3.0}])
@dataclass(frozen=True, kw_only=True)
class LinearScaling:
    """Divides all positions by one factor.

    Source: Chen et al. 2023 (position interpolation), equation 4.
    """

    factor: float

    def __call__(self, base: float, size: int, length: int, device: torch.device) -> tuple[Tensor, float]:
        return turns(base, size, device) / self.factor, 1.0
