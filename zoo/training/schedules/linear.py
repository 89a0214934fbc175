"""A straight line down, after a warm-up."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from registry import Spec
from zoo.kinds import SCHEDULE


class DecaySpec(Spec):
    """What the schedules that end have in common: warm-up to a peak, then down to a floor."""

    peak_lr: float = Field(gt=0, le=1e6)
    """The rate at the end of the warm-up, the highest."""
    warmup_steps: int = Field(0, ge=0, le=10**9)
    """Steps over which the rate rises linearly from 0 to the peak; 0 for none."""
    floor_lr: float = Field(0.0, ge=0, le=1e6)
    """The rate at the last step, `training.max_steps`; at most the peak."""

    def check(self) -> None:
        if self.floor_lr > self.peak_lr:
            raise ValueError(f"floor_lr ({self.floor_lr}) must be at most peak_lr ({self.peak_lr})")


class LinearSpec(DecaySpec):
    type: Literal["linear"] = "linear"


@SCHEDULE.register(
    "linear", spec=LinearSpec, examples=[{"peak_lr": 1e-3, "warmup_steps": 3, "floor_lr": 1e-5}]
)
class Linear:
    """Linear warm-up to the peak, then a straight line down to the floor.

    Source: Devlin et al. 2019 (BERT), appendix A.2, with a floor of 0.
    """

    def __init__(
        self, *, peak_lr: float, warmup_steps: int, floor_lr: float, d_model: int, max_steps: int
    ) -> None:
        self.peak_lr, self.floor_lr = peak_lr, floor_lr
        self.warmup_steps, self.max_steps = warmup_steps, max_steps

    def __call__(self, step: int) -> float:
        """The learning rate of a step, the first being 1."""
        if step < self.warmup_steps:
            return self.peak_lr * step / self.warmup_steps
        return self.floor_lr + (self.peak_lr - self.floor_lr) * self.remaining(step)

    def remaining(self, step: int) -> float:
        """The share of the way down still ahead: 1 at the end of the warm-up, 0 from the last step on."""
        n_steps = self.max_steps - self.warmup_steps
        return max(0.0, (self.max_steps - step) / n_steps) if n_steps > 0 else 1.0
