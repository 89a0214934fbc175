"""Half a cosine wave down, after a warm-up."""

from __future__ import annotations

import math
from typing import Literal

from zoo.kinds import SCHEDULE
from zoo.training.schedules.linear import DecaySpec, Linear


class CosineSpec(DecaySpec):
    type: Literal["cosine"] = "cosine"


@SCHEDULE.register(
    "cosine", spec=CosineSpec, examples=[{"peak_lr": 1e-3, "warmup_steps": 3, "floor_lr": 1e-5}]
)
class Cosine(Linear):
    """Linear warm-up to the peak, then half a cosine wave down to the floor.

    Source: Loshchilov and Hutter 2017 (SGDR), equation 5, without restarts.
    """

    def remaining(self, step: int) -> float:
        """As for the line, bent: slow at both ends."""
        return 0.5 * (1 + math.cos(math.pi * (1 - super().remaining(step))))
