"""Files for TensorBoard in the run's folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from registry import Spec
from zoo.kinds import LOGGER

if TYPE_CHECKING:
    from lightning.pytorch.loggers import TensorBoardLogger


class TensorBoardSpec(Spec):
    type: Literal["tensorboard"] = "tensorboard"


@LOGGER.register("tensorboard", spec=TensorBoardSpec, examples=[{}])
def tensorboard(*, folder: Path) -> TensorBoardLogger:
    """Lightning's TensorBoardLogger, for what a callback logs; the run's own figures lie in its tensorboard/ anyway."""
    from lightning.pytorch.loggers import TensorBoardLogger  # slow to import

    return TensorBoardLogger(folder, name="", version="tensorboard")
