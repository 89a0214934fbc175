"""Rows of token ids in files: written in a stream, read memory-mapped."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import accumulate, chain
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.integer]

ABOUT = "about.json"
"""Name of the file that says what the others hold."""


class TokenRows:
    """N rows of token ids, without BOS and EOS, none of them in memory until asked for."""

    def __init__(self, folder: Path, side: str, dtype: str) -> None:
        self._tokens: NDArray[Any] = np.memmap(folder / f"{side}.tokens", dtype, mode="r")
        self._offsets: NDArray[np.int64] = np.memmap(folder / f"{side}.offsets", "<i8", mode="r")

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __getitem__(self, number: int) -> list[int]:
        ids: list[int] = self._tokens[self._offsets[number] : self._offsets[number + 1]].tolist()
        return ids

    def lengths(self) -> NDArray[np.int32]:
        """Tokens in each row [N]."""
        return np.diff(self._offsets).astype(np.int32)

    def take(self, numbers: Integers) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The tokens of several rows, one row after the other, and the number of tokens in each."""
        starts = self._offsets[numbers]
        lengths = self._offsets[numbers + 1] - starts
        ends = np.cumsum(lengths)
        places = np.arange(ends[-1]) + np.repeat(starts - ends + lengths, lengths)
        return self._tokens[places].astype(np.int64), lengths


class RowWriter:
    """Writes the files of one side, some rows at a time."""

    def __init__(self, folder: Path, side: str, vocab_size: int) -> None:
        self.dtype = "<u2" if vocab_size <= 1 << 16 else "<u4"
        self._tokens = (folder / f"{side}.tokens").open("wb")
        self._offsets = (folder / f"{side}.offsets").open("wb")
        self._offsets.write(bytes(8))
        self._end = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tokens.close()
        self._offsets.close()

    def add(self, rows: Sequence[Sequence[int]]) -> None:
        """Appends rows."""
        if rows:
            ends = np.fromiter(accumulate(map(len, rows), initial=self._end), "<i8", len(rows) + 1)
            self._end = int(ends[-1])
            ids = np.fromiter(chain.from_iterable(rows), self.dtype, self._end - int(ends[0]))
            self._offsets.write(ends[1:].tobytes())
            self._tokens.write(ids.tobytes())


class TokenPairs:
    """A split as token ids: source and target rows, and what was left out of it.

    counts says how many pairs were left out for which reason; left_out lists, counted from 0, which of the
    corpus's good pairs were over max_length.
    """

    def __init__(self, folder: Path) -> None:
        about = json.loads((folder / ABOUT).read_bytes())
        self.folder = folder
        self.source = TokenRows(folder, "source", about["source"])
        self.target = TokenRows(folder, "target", about["target"])
        self.counts: dict[str, int] = about["counts"]
        self.left_out: NDArray[np.int64] = np.fromfile(folder / "left_out", "<i8")

    def __len__(self) -> int:
        return len(self.source)

    def __reduce__(self) -> tuple[type[TokenPairs], tuple[Path]]:
        return TokenPairs, (self.folder,)  # a data process maps the files itself instead of getting a copy
