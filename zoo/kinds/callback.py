"""Callback: what else happens in a training, at Lightning's hooks."""

from __future__ import annotations

from typing import Any, Protocol

from registry import Kind


class Callback(Protocol):
    """A lightning.pytorch.Callback, or one with its methods. Its state is in the run's checkpoints, as plain data that
    torch.load reads with weights_only. A validation is told by its on_validation_end, with the Trainer's
    callback_metrics renewed; it ends a training by trainer.should_stop.
    """

    def state_dict(self) -> dict[str, Any]:
        """What it remembers, for a checkpoint."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from what it remembered."""
        ...


CALLBACK = Kind(
    "callback",
    package="zoo.training.callbacks",
    context=(),
    check=(),
    summary="what else happens in a training",
    contract=Callback,
)
