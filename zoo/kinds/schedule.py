"""Schedule: the learning rate of each step."""

from __future__ import annotations

from typing import Protocol, Self

from registry import Kind, Spec


class Schedule(Protocol):
    """The spec is a ScheduleSpec."""

    def __call__(self, step: int) -> float:
        """The learning rate of a step, the first being 1."""
        ...


SCHEDULE = Kind(
    "schedule",
    package="zoo.training.schedules",
    context=("d_model", "max_steps"),
    check=(),
    summary="the learning rate of each step",
    contract=Schedule,
)


class ScheduleSpec(Spec):
    """Base of every schedule's spec."""

    @property
    def last_step(self) -> int | None:
        """The step after which every rate is 0, so that training ends there too; None where there is none."""
        return None

    def ending_at(self, step: int) -> Self:
        """This schedule with its end there, where its rates depend on an end and the spec leaves that open; else
        itself. Settled before the first step of a run."""
        return self
