"""One series of several variables in a file of comma-separated values, cut by time."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from registry import clip, suggest
from zoo.amounts import amount
from zoo.data.bad_lines import BadLines
from zoo.data.corpora._series import Cuts, SeriesSpec, cut_series
from zoo.data.lines import hash_files, read_records
from zoo.errors import DataError
from zoo.kinds import CORPUS, Row

MAX_CHARACTERS = 1_000_000
SHARES = (7, 1, 2)
"""Tenths of a file for each split where no numbers are said: Wu et al. 2021 (Autoformer), section 4."""

HINT = "; what is no variable, task.data.ignore names"
"""Of a bad cell in the first line."""


class SeriesCsvSpec(SeriesSpec):
    type: Literal["series_csv"] = "series_csv"
    path: str
    """The file, plain or gzipped: a heading, and a line for each time, in order."""
    n_train: int | None = Field(None, ge=1, le=10**8)
    """Times to learn from, the first ones; null, as n_dev then is: 7 of 10 lines, then 1 of 10, and 2 of 10 to test."""
    n_dev: int | None = Field(None, ge=1, le=10**8)
    """Times to validate on, after those."""
    n_test: int = Field(0, ge=0, le=10**8)
    """Times to test on, after those; 0 for none."""
    ignore: tuple[str, ...] = ("date",)
    """Columns that are no variables, such as the time."""
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    """What stands between columns; a cell in double quotes may contain it."""

    def check(self) -> None:
        if (self.n_train is None) != (self.n_dev is None) or (self.n_train is None and self.n_test):
            raise ValueError(
                "n_train, n_dev and n_test go together: say them, or none for 7, 1 and 2 of 10 lines"
            )


@CORPUS.register(
    "series_csv",
    spec=SeriesCsvSpec,
    examples=[{"path": "ETTh1.csv", "n_train": 8640, "n_dev": 2880, "n_test": 2880}, {"path": "weather.csv"}],
)
class SeriesCsv:
    """A variable a column and a time a line, the first lines to learn from, the next to validate on, the next to test.

    A line with a cell that is no finite number, or too few or too many cells, is bad; where such lines are left out,
    those around them become neighbours in time. Lines after the last split are not read, where numbers say which it is.
    """

    def __init__(
        self,
        *,
        path: str,
        ignore: tuple[str, ...],
        delimiter: str,
        n_train: int | None,
        n_dev: int | None,
        n_test: int,
    ) -> None:
        self._path = Path(path).expanduser()
        self._ignore = ignore
        self._delimiter = delimiter
        self._cuts = None if n_train is None or n_dev is None else Cuts(n_train, n_dev, n_test)

    def splits(self) -> list[str]:
        """Train, dev and, unless it has no lines, test."""
        return list(Cuts._fields) if self._cuts is None else self._cuts.splits()

    def where(self, split: str) -> str:
        """The file, for messages."""
        return f"{self._path} ({split})"

    def rows(self, split: str, *, bad_lines: BadLines) -> Iterator[Row]:
        """One row: the series to the end of the split, and how much of it lies before the split.

        Raises: DataError for a heading without variables, and for fewer lines than the splits need.
        """
        if self._cuts is None:
            series = self._series(None, bad_lines)
            yield cut_series(series, self._by_shares(len(series)), split)
        else:
            yield cut_series(self._series(self._cuts.end(split), bad_lines), self._cuts, split)

    def fingerprint(self, split: str) -> str:
        """SHA-256 of the file's bytes and of what decides how they are read."""
        cuts = SHARES if self._cuts is None else tuple(self._cuts)
        return hash_files([self._path], self._ignore, self._delimiter, cuts, self._cuts is None, split)

    def whole(self, *, bad_lines: BadLines) -> NDArray[np.float64]:
        """All lines of the file: [T, V]. Raises: as `rows`, but that no number of lines is needed."""
        return self._series(None, bad_lines, hint="")

    def _series(self, n: int | None, bad_lines: BadLines, *, hint: str = HINT) -> NDArray[np.float64]:
        lines = read_records(self._path, max_characters=MAX_CHARACTERS)
        heading = next(lines, None)
        if heading is None:
            raise DataError(f"{self._path}: the file is empty")
        if heading.reason:
            raise DataError(f"{self._path}:1: {heading.reason}: {heading.detail}")
        names = self._cells(heading.text)
        self._check_heading(names)
        kept = [i for i, name in enumerate(names) if name not in self._ignore]
        values: list[list[float]] = []
        for number, line in enumerate(lines, start=2):
            bad_lines.line = number
            found = (line.reason, line.detail) if line.reason else self._values(line.text, names, kept)
            if isinstance(found, tuple):
                reason, detail = found
                bad_lines.report(f"{self._path}:{number}", reason, detail + hint * (number == 2))
                continue
            values.append(found)
            if len(values) == n:
                return np.array(values)
        if n is None or self._cuts is None:
            return np.array(values).reshape(len(values), len(kept))
        needed = " + ".join(f"{count:,}" for count in self._cuts)
        raise DataError(
            f"{self._path}: {amount(len(values), 'good line')}, but n_train, n_dev and n_test need {needed}"
        )

    def _by_shares(self, n: int) -> Cuts:
        """How n lines are cut where no numbers say it. Raises: DataError where a split would have none."""
        n_train, n_dev = (n * share // sum(SHARES) for share in SHARES[:2])
        if not n_dev:
            raise DataError(
                f"{self._path}: {amount(n, 'good line')} cannot be cut into parts to train, validate and test on"
            )
        return Cuts(n_train, n_dev, n - n_train - n_dev)

    def _check_heading(self, names: list[str]) -> None:
        unknown = [name for name in self._ignore if name not in names]
        if unknown and self._ignore != ("date",):  # the default is of no column in particular
            raise DataError(
                f"{self._path}:1: there is no column '{unknown[0]}' to ignore; "
                f"{suggest(unknown[0], names, listed=True)}"
            )
        if not set(names) - set(self._ignore):
            raise DataError(f"{self._path}:1: no variable in the heading: {', '.join(names)}")
        if len(names) == 1 and (others := [sign for sign in (";", "\t", ",", "|") if sign in names[0]]):
            raise DataError(
                f"{self._path}:1: one column, {clip(names[0])}; if {clip(others[0])} stands between columns, set "
                f"task.data.delimiter={json.dumps(others[0])}"
            )
        if numeric := [name for name in names if _number(name) is not None]:
            raise DataError(f"{self._path}:1: no heading: '{numeric[0]}' is a number, no name of a column")

    def _cells(self, text: str) -> list[str]:
        try:
            cells = next(csv.reader([text], delimiter=self._delimiter), [])
        except csv.Error:
            return []
        return [cell.strip() for cell in cells]

    def _values(self, text: str, names: list[str], kept: list[int]) -> list[float] | tuple[str, str]:
        cells = self._cells(text)
        if len(cells) != len(names):
            return "wrong number of columns", f"{len(cells)}, but the heading has {len(names)}"
        found = [_number(cells[i]) for i in kept]
        values = [value for value in found if value is not None]
        if len(values) < len(found):
            i = kept[found.index(None)]
            return "no number", f"'{cells[i]}' in column {names[i]}"
        return values


def _number(text: str) -> float | None:
    """The finite number that a cell holds."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
