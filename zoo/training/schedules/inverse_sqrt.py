"""Noam's shape with the peak said outright."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from zoo.kinds import SCHEDULE, ScheduleSpec


class InverseSqrtSpec(ScheduleSpec):
    type: Literal["inverse_sqrt"] = "inverse_sqrt"
    peak_lr: float = Field(gt=0, le=1e6)
    """The rate at step `warmup_steps`, the highest."""
    warmup_steps: int = Field(4000, ge=1, le=10**9)
    """Steps over which the rate rises linearly from 0 to the peak."""


@SCHEDULE.register("inverse_sqrt", spec=InverseSqrtSpec, examples=[{"peak_lr": 2e-3, "warmup_steps": 7}])
class InverseSqrt:
    """peak_lr · min(step / warmup_steps, (warmup_steps / step)^0.5).

    Source: fairseq's `inverse_sqrt` (Ott et al. 2019) with an initial rate of 0.
    """

    def __init__(self, *, peak_lr: float, warmup_steps: int, d_model: int, max_steps: int) -> None:
        self.peak_lr = peak_lr
        self.warmup_steps = warmup_steps

    def __call__(self, step: int) -> float:
        """The learning rate of a step, the first being 1."""
        return float(self.peak_lr * min(step / self.warmup_steps, (self.warmup_steps / step) ** 0.5))
