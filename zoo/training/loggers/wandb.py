"""Weights & Biases, where the spec asks for it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from registry import Spec
from zoo.errors import RunError
from zoo.kinds import LOGGER

if TYPE_CHECKING:
    from lightning.pytorch.loggers import WandbLogger


class WandbSpec(Spec):
    type: Literal["wandb"] = "wandb"
    project: str = Field(min_length=1)
    """The project there."""
    name: str | None = None
    """What the run is called there; null: a name that they choose."""
    offline: bool = False
    """Whether everything stays on this machine, to be sent later by `wandb sync`."""


@LOGGER.register("wandb", spec=WandbSpec, examples=[{"project": "mine", "offline": True}])
def wandb(*, project: str, name: str | None, offline: bool, folder: Path) -> WandbLogger:
    """Lightning's WandbLogger: sends figures and the run's spec to wandb.ai.

    Raises: RunError where the package is not installed.
    """
    from lightning.pytorch.loggers import WandbLogger  # slow to import

    try:
        return WandbLogger(project=project, name=name, offline=offline, save_dir=folder)
    except ModuleNotFoundError as error:
        raise RunError(f"logger wandb: {error}; pip install 'architecture-zoo[wandb]'") from None
