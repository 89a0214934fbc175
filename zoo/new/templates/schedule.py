"""A schedule of learning rates that rises once and then halves, and halves again.

Next:
    pytest test_my_part.py
    zoo describe schedule/my_part --plugin my_part.py
    zoo train quickstart --scale tiny --plugin my_part.py training.schedule=my_part
"""

from typing import Literal

from pydantic import Field
from zoo.kinds import SCHEDULE, ScheduleSpec


class MyPartSpec(ScheduleSpec):
    type: Literal["my_part"] = "my_part"
    peak_lr: float = Field(3e-3, gt=0, le=1)
    """The rate at the end of the warm-up, the highest."""
    warmup_steps: int = Field(20, ge=0)
    """Steps over which the rate rises to it."""
    half_life: int = Field(100, ge=1)
    """Steps in which it halves."""

    # Optional: check(self) raises ValueError for settings that do not fit each other.
    # Optional: `last_step`, after which every rate is 0, and ending_at(step), for schedules
    # that end: see zoo.kinds.ScheduleSpec.


@SCHEDULE.register(
    "my_part",
    spec=MyPartSpec,
    examples=[{"warmup_steps": 3, "half_life": 7}],
)
class MyPart:
    """Linear warm-up to the peak, then half of it every half_life steps, without an end."""

    # The spec's fields and the kind's context, d_model and max_steps.
    def __init__(
        self,
        *,
        peak_lr: float,
        warmup_steps: int,
        half_life: int,
        d_model: int,
        max_steps: int,
    ) -> None:
        self.peak_lr, self.warmup_steps = peak_lr, warmup_steps
        self.half_life = half_life

    def __call__(self, step: int) -> float:
        """The learning rate of a step, the first being 1."""
        if step < self.warmup_steps:
            return self.peak_lr * step / self.warmup_steps
        return float(
            self.peak_lr * 0.5 ** ((step - self.warmup_steps) / self.half_life)
        )
