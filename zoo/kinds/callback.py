"""Callback: what else happens in a training, at Lightning's hooks."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Protocol

from registry import Kind


class Callback(Protocol):
    """A lightning.pytorch.Callback, or one with its methods. Its state is in the run's checkpoints, as plain data that
    torch.load reads with weights_only. A validation is told by its on_validation_end, with the Trainer's
    callback_metrics renewed; it ends a training by trainer.should_stop.

    One whose spec says `averages_weights: ClassVar = True` is a WeightAverage (zoo.kinds.callback) as well.
    """

    def state_dict(self) -> dict[str, Any]:
        """What it remembers, for a checkpoint."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from what it remembered."""
        ...


class WeightAverage(Callback, Protocol):
    """A callback whose weights are the run's result, instead of those that training goes on from: they are validated,
    kept and used. In a run that goes on, the model has them for its own at on_fit_start.
    """

    def update(self, step: int) -> None:
        """Takes the weights after a step that was taken, the first being 1; one whose gradient is not finite is not."""
        ...

    def in_place(self) -> AbstractContextManager[None]:
        """Within it the model has the averages for its weights, and after it its own again."""
        ...


CALLBACK = Kind(
    "callback",
    package="zoo.training.callbacks",
    context=(),
    check=(),
    summary="what else happens in a training",
    contract=Callback,
)
