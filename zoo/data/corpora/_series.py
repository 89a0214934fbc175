"""What the corpora of series have in common: a series cut by time."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from zoo.kinds import CorpusSpec, Row


class SeriesSpec(CorpusSpec):
    fields: ClassVar = ("series", "n_before")


class TimeSplitSpec(SeriesSpec):
    n_train: int = Field(ge=1, le=10**8)
    """Times to learn from, the first ones."""
    n_dev: int = Field(ge=1, le=10**8)
    """Times to validate on, after those."""
    n_test: int = Field(0, ge=0, le=10**8)
    """Times to test on, after those; 0 for none."""


class Cuts(NamedTuple):
    """How many times each split has."""

    train: int
    dev: int
    test: int

    def splits(self) -> list[str]:
        """The names of those that have any."""
        return [name for name, n in self._asdict().items() if n]

    def end(self, split: str) -> int:
        """The time after a split's last one."""
        return sum(self[: self._fields.index(split) + 1])


def cut_series(series: NDArray[Any], cuts: Cuts, split: str) -> Row:
    """The row of a split: series [T, V] to its end, and n_before, the times of it before the split.

    Those are there to look back at: the first forecast of a split begins with its first time.
    """
    end = cuts.end(split)
    return {"series": np.asarray(series[:end], np.float64), "n_before": end - cuts._asdict()[split]}
