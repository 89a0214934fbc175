"""The paper's schedule."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from zoo.kinds import SCHEDULE, ScheduleSpec


class NoamSpec(ScheduleSpec):
    type: Literal["noam"] = "noam"
    warmup_steps: int = Field(4000, ge=1, le=10**9)
    """Steps over which the rate rises linearly to its peak, factor · (d_model · warmup_steps)^-0.5."""
    factor: float = Field(1.0, gt=0, le=1e6)
    """What the paper's rate is multiplied by; the paper has 1."""


@SCHEDULE.register("noam", spec=NoamSpec, examples=[{"warmup_steps": 7, "factor": 0.5}])
class Noam:
    """factor · d_model^-0.5 · min(step^-0.5, step · warmup_steps^-1.5), the rate of the paper.

    Source: Vaswani et al. 2017, section 5.3, equation 3; named after its inventor in Tensor2Tensor.
    """

    def __init__(self, *, warmup_steps: int, factor: float, d_model: int, max_steps: int) -> None:
        self.warmup_steps = warmup_steps
        self.scale = factor * d_model**-0.5

    def __call__(self, step: int) -> float:
        """The learning rate of a step, the first being 1."""
        return float(self.scale * min(step**-0.5, step * self.warmup_steps**-1.5))
