"""One rate for all steps."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from zoo.kinds import SCHEDULE, ScheduleSpec


class ConstantSpec(ScheduleSpec):
    type: Literal["constant"] = "constant"
    lr: float = Field(gt=0, le=1e6)
    """The learning rate."""
    warmup_steps: int = Field(0, ge=0, le=10**9)
    """Steps over which the rate rises linearly from 0; 0 for none."""


@SCHEDULE.register("constant", spec=ConstantSpec, examples=[{"lr": 1e-3}, {"lr": 1e-3, "warmup_steps": 3}])
class Constant:
    """lr · min(step / warmup_steps, 1)."""

    def __init__(self, *, lr: float, warmup_steps: int, d_model: int, max_steps: int) -> None:
        self.lr = lr
        self.warmup_steps = warmup_steps

    def __call__(self, step: int) -> float:
        """The learning rate of a step, the first being 1."""
        return self.lr * min(step / self.warmup_steps, 1.0) if self.warmup_steps else self.lr
