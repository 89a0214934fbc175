"""A table in the run's folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from registry import Spec
from zoo.kinds import LOGGER

if TYPE_CHECKING:
    from lightning.pytorch.loggers import CSVLogger


class CSVSpec(Spec):
    type: Literal["csv"] = "csv"
    flush_every: int = Field(1, ge=1, le=10**6)
    """Records between two writings of the file."""


@LOGGER.register("csv", spec=CSVSpec, examples=[{}])
def csv(*, flush_every: int, folder: Path) -> CSVLogger:
    """Lightning's CSVLogger: csv/metrics.csv in the folder."""
    from lightning.pytorch.loggers import CSVLogger  # slow to import

    return CSVLogger(folder, name="", version="csv", flush_logs_every_n_steps=flush_every)
