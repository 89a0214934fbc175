"""Generated series, needing no file: daily and weekly waves of several variables with noise."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from zoo.data.bad_lines import BadLines
from zoo.data.corpora._series import Cuts, TimeSplitSpec, cut_series
from zoo.kinds import CORPUS, Row
from zoo.storage.hashing import sha256

PERIODS = (24, 168)
"""Hours of a day and of a week."""


class WavesSpec(TimeSplitSpec):
    type: Literal["waves"] = "waves"
    n_train: int = Field(2_000, ge=1, le=10**6)
    """Hours to learn from, the first ones."""
    n_dev: int = Field(500, ge=1, le=10**6)
    """Hours to validate on, after those."""
    n_test: int = Field(500, ge=0, le=10**6)
    """Hours to test on, after those; 0 for none."""
    n_variables: int = Field(3, ge=1, le=1_000)
    """V: series side by side, each with waves of its own."""
    noise: float = Field(0.3, ge=0, le=1e3)
    """Deviation of the noise, of waves whose height is about 1."""
    seed: int = Field(1, ge=0, le=2**32 - 1)
    """Another seed, other waves."""


@CORPUS.register("waves", spec=WavesSpec, examples=[{"n_train": 61, "n_dev": 23, "n_test": 29}])
class Waves:
    """Hourly series: a day's and a week's wave of drawn height and phase, around a drawn level, with noise."""

    def __init__(
        self, *, n_train: int, n_dev: int, n_test: int, n_variables: int, noise: float, seed: int
    ) -> None:
        self._cuts = Cuts(n_train, n_dev, n_test)
        self._n_variables = n_variables
        self._noise = noise
        self._seed = seed

    def splits(self) -> list[str]:
        """Train, dev and, unless it has no hours, test."""
        return self._cuts.splits()

    def where(self, split: str) -> str:
        """A name for messages."""
        return f"waves, {split}"

    def rows(self, split: str, *, bad_lines: BadLines) -> Iterator[Row]:
        """One row: the series to the end of the split, and how much of it lies before the split."""
        yield cut_series(self._series, self._cuts, split)

    def fingerprint(self, split: str) -> str:
        """SHA-256 of the split's numbers, and of where it begins."""
        return sha256(repr((tuple(self._cuts), split)).encode() + self._series.tobytes())

    @cached_property
    def _series(self) -> NDArray[np.float64]:
        draw = np.random.Generator(np.random.Philox(key=np.array([self._seed, 0], np.uint64)))
        time, V = np.arange(sum(self._cuts))[:, None], self._n_variables
        series = np.tile(draw.uniform(-5, 5, V), (len(time), 1))
        for period in PERIODS:
            height, phase = draw.uniform(0.5, 1.5, V), draw.uniform(0, 1, V)
            series += height * np.sin(2 * np.pi * (time / period + phase))
        # Rounded, so that machines whose sine differs in its last bits give the same series.
        return np.round(series + draw.normal(0, self._noise, series.shape), 4)
