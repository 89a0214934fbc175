"""Up, along, down."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field

from zoo.kinds import SCHEDULE
from zoo.training.schedules.linear import DecaySpec


class WarmupStableDecaySpec(DecaySpec):
    type: Literal["warmup_stable_decay"] = "warmup_stable_decay"
    decay_share: float = Field(0.1, gt=0, le=1)
    """The last share of `total_steps`, over which the rate falls; the steps before it, after the warm-up, have the
    peak."""
    form: Literal["linear", "one_minus_sqrt"] = "linear"
    """How it falls: in a straight line, or as 1 - sqrt of the way taken, which is fast at first."""


@SCHEDULE.register(
    "warmup_stable_decay",
    spec=WarmupStableDecaySpec,
    examples=[
        {"peak_lr": 1e-3, "warmup_steps": 3, "floor_lr": 1e-6},
        {"peak_lr": 1e-3, "decay_share": 0.5, "form": "one_minus_sqrt", "floor_lr": 1e-5},
    ],
)
class WarmupStableDecay:
    """Linear warm-up to the peak, the peak, then down to the floor in the last share of the steps.

    Source: Hu et al. 2024 (MiniCPM), section 4; the forms of Hägele et al. 2024, section 3.
    """

    def __init__(
        self,
        *,
        peak_lr: float,
        warmup_steps: int,
        floor_lr: float,
        total_steps: int | None,
        decay_share: float,
        form: str,
        d_model: int,
        max_steps: int,
    ) -> None:
        self.peak_lr, self.floor_lr, self.form = peak_lr, floor_lr, form
        self.warmup_steps, self.total_steps = warmup_steps, total_steps or max_steps
        self.n_decay = decay_share * self.total_steps

    def __call__(self, step: int) -> float:
        """The learning rate of a step, the first being 1."""
        if step > self.total_steps:  # also where the warm-up is longer than the training
            return self.floor_lr
        if step < self.warmup_steps:
            return self.peak_lr * step / self.warmup_steps
        way = max(0.0, (step - (self.total_steps - self.n_decay)) / self.n_decay)
        remaining = 1 - (way if self.form == "linear" else math.sqrt(way))
        return self.floor_lr + (self.peak_lr - self.floor_lr) * remaining
