"""Parallel text in the columns of one file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from zoo.data.bad_lines import BadLines
from zoo.data.corpora.text import PairsSpec
from zoo.data.lines import hash_files, read_columns
from zoo.kinds import CORPUS, Row


class TabSeparatedSpec(PairsSpec):
    type: Literal["tab_separated"] = "tab_separated"
    train: str
    """File to train on, plain or gzipped: a pair on each line, tabs between the columns, no heading."""
    dev: str
    """File to validate on."""
    test: str | None = None
    """File to test on; null for none."""
    source_column: int = Field(1, ge=1, le=1000)
    """Column translated from; the first one is 1, as for `cut -f`."""
    target_column: int = Field(2, ge=1, le=1000)
    """Column translated to."""

    def check(self) -> None:
        if self.source_column == self.target_column:
            raise ValueError(f"source_column and target_column are both {self.source_column}")


@CORPUS.register(
    "tab_separated",
    spec=TabSeparatedSpec,
    examples=[{"train": "train.tsv", "dev": "dev.tsv.gz", "source_column": 2, "target_column": 1}],
)
class TabSeparated:
    """One file for each split, source and target in two of its columns."""

    def __init__(
        self,
        *,
        train: str,
        dev: str,
        test: str | None,
        source_column: int,
        target_column: int,
        max_characters: int,
    ) -> None:
        named = {"train": train, "dev": dev, "test": test}
        self._paths = {split: Path(path).expanduser() for split, path in named.items() if path is not None}
        self._columns = (source_column, target_column)
        self._max_characters = max_characters

    def splits(self) -> list[str]:
        """The splits that the spec names."""
        return list(self._paths)

    def where(self, split: str) -> str:
        """The file, for messages."""
        return str(self._paths[split])

    def rows(self, split: str, *, bad_lines: BadLines) -> Iterator[Row]:
        """The pairs of a split, as `read_columns` reads them."""
        for source, target in read_columns(
            self._paths[split], self._columns, max_characters=self._max_characters, bad_lines=bad_lines
        ):
            yield {"source": source, "target": target}

    def fingerprint(self, split: str) -> str:
        """SHA-256 of the file's bytes and of what decides how they are read."""
        return hash_files([self._paths[split]], self._columns, self._max_characters)
