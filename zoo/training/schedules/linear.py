"""A straight line down, after a warm-up."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field

from zoo.kinds import SCHEDULE, ScheduleSpec


class DecaySpec(ScheduleSpec):
    """What the schedules that end have in common: warm-up to a peak, then down to a floor."""

    peak_lr: float = Field(gt=0, le=1e6)
    """The rate at the end of the warm-up, the highest."""
    warmup_steps: int = Field(0, ge=0, le=10**9)
    """Steps over which the rate rises linearly from 0 to the peak; 0 for none."""
    floor_lr: float = Field(0.0, ge=0, le=1e6)
    """The rate at step `total_steps` and after it; at most the peak."""
    total_steps: int | None = Field(None, ge=1, le=10**9)
    """The step at which the floor is reached. null: training.max_steps, or as many as training.max_minutes hold;
    settled before the first step, and kept when a resumed run is given another max_steps."""

    @property
    def last_step(self) -> int | None:
        return None if self.floor_lr else self.total_steps

    def ending_at(self, step: int) -> Self:
        if self.total_steps is not None:
            return self
        return self.model_copy(update={"total_steps": step})

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
        self,
        *,
        peak_lr: float,
        warmup_steps: int,
        floor_lr: float,
        total_steps: int | None,
        d_model: int,
        max_steps: int,
    ) -> None:
        self.peak_lr, self.floor_lr = peak_lr, floor_lr
        self.warmup_steps, self.total_steps = warmup_steps, total_steps or max_steps

    def __call__(self, step: int) -> float:
        """The learning rate of a step, the first being 1."""
        if step > self.total_steps:  # also where the warm-up is longer than the training
            return self.floor_lr
        if step < self.warmup_steps:
            return self.peak_lr * step / self.warmup_steps
        return self.floor_lr + (self.peak_lr - self.floor_lr) * self.remaining(step)

    def remaining(self, step: int) -> float:
        """The share of the way down still ahead: 1 at the end of the warm-up, 0 from the last step on."""
        n_steps = self.total_steps - self.warmup_steps
        return max(0.0, (self.total_steps - step) / n_steps) if n_steps > 0 else 1.0
