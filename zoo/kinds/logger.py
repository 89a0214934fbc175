"""Logger: where a training's figures go besides its own record."""

from __future__ import annotations

from typing import Any, Protocol

from registry import Kind


class Logger(Protocol):
    """A logger of Lightning's: its class, or one with its methods. `folder` is the run's; what is written on this
    machine belongs into it. Nothing leaves the machine unless a spec names a logger that sends.
    """

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Numbers of a step, by name."""
        ...

    def log_hyperparams(self, params: dict[str, Any]) -> None:
        """The run's spec, its values by their dotted keys."""
        ...

    def finalize(self, status: str) -> None:
        """The end: success or failed."""
        ...


LOGGER = Kind(
    "logger",
    package="zoo.training.loggers",
    context=("folder",),
    check=(),
    summary="where a training's figures go",
    contract=Logger,
)
