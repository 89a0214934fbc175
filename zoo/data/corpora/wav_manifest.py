"""Recordings named by a table: a path on each line, and what is said, or which class it is."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from zoo.data.bad_lines import BadLines
from zoo.data.corpora._recordings import recording
from zoo.data.lines import hash_files, read_records, wants_column
from zoo.errors import DataError
from zoo.kinds import CORPUS, CorpusSpec, Row
from zoo.storage.hashing import sha256_of_text

MAX_CHARACTERS = 100_000


class WavManifestSpec(CorpusSpec):
    type: Literal["wav_manifest"] = "wav_manifest"
    train: str
    """Table to train on, plain or gzipped: its first line names the columns."""
    dev: str
    """Table to validate on."""
    test: str | None = None
    """Table to test on; null for none."""
    separator: Literal["tab", "comma"] = "tab"
    """What stands between columns: a tab, without quotes; or a comma, with quotes as in CSV, but no line break in
    them."""
    path_column: str = Field("path", min_length=1)
    """Column of the files' paths, relative to the table's folder or absolute."""
    text_column: str | None = None
    """Column of what is said."""
    label_column: str | None = None
    """Column of the class."""

    @property
    def fields(self) -> tuple[str, ...]:
        named = {"text": self.text_column, "label": self.label_column}
        return ("waveform", "rate", *(name for name, column in named.items() if column is not None))

    def check(self) -> None:
        if self.text_column is None and self.label_column is None:
            raise ValueError("text_column or label_column must be given, such as text_column: text")


@CORPUS.register(
    "wav_manifest",
    spec=WavManifestSpec,
    examples=[{"train": "train.tsv", "dev": "dev.csv", "separator": "comma", "text_column": "text"}],
)
class WavManifest:
    """One table for each split, with the paths of wav files in a column."""

    def __init__(
        self,
        *,
        train: str,
        dev: str,
        test: str | None,
        separator: Literal["tab", "comma"],
        path_column: str,
        text_column: str | None,
        label_column: str | None,
    ) -> None:
        named = {"train": train, "dev": dev, "test": test}
        self._paths = {split: Path(path).expanduser() for split, path in named.items() if path is not None}
        self._separator = separator
        self._columns = {"path": path_column} | {
            name: column
            for name, column in (("text", text_column), ("label", label_column))
            if column is not None
        }

    def splits(self) -> list[str]:
        """The splits that the spec names."""
        return list(self._paths)

    def where(self, split: str) -> str:
        """The table, for messages."""
        return str(self._paths[split])

    def rows(self, split: str, *, bad_lines: BadLines) -> Iterator[Row]:
        """The recordings of a split. Raises: DataError as `read_records`, and for a table without the columns."""
        table = self._paths[split]
        for where, cells in self._cells(split, bad_lines):
            path = table.parent / cells["path"]
            try:
                data = path.read_bytes()
            except (OSError, ValueError) as error:
                bad_lines.report(
                    where, "unreadable file", f"{path}: {getattr(error, 'strerror', None) or error}"
                )
                continue
            found = recording(data, where, str(path), bad_lines)
            if found is not None:
                yield {**found, **{name: text for name, text in cells.items() if name != "path"}}

    def fingerprint(self, split: str) -> str:
        """SHA-256 of the table, of how it is read, and of the size and time of each file that it names."""
        table = self._paths[split]
        about = []
        for _, cells in self._cells(split, BadLines("skip")):
            try:
                state = (table.parent / cells["path"]).stat()
                about.append((cells["path"], state.st_size, state.st_mtime_ns))
            except (OSError, ValueError):
                about.append((cells["path"], -1, -1))
        return sha256_of_text(repr((hash_files([table], self._separator, self._columns), about)))

    def _cells(self, split: str, bad_lines: BadLines) -> Iterator[tuple[str, dict[str, str]]]:
        """The cells of each good line by what they are, and the line's place."""
        table = self._paths[split]
        places: dict[str, int] = {}
        number = 0
        for number, line in enumerate(read_records(table, max_characters=MAX_CHARACTERS), 1):
            where, bad_lines.line = f"{table}:{number}", number
            if line.reason:
                if number == 1:
                    raise DataError(f"{where}: {line.reason}: {line.detail}")
                bad_lines.report(where, line.reason, line.detail)
                continue
            try:
                cells = self._split(line.text)
            except csv.Error as error:
                bad_lines.report(where, "broken quotes", str(error))
                continue
            if number == 1:
                places = self._places(where, cells)
                continue
            if len(cells) <= max(places.values()):
                bad_lines.report(where, "missing column", wants_column(max(places.values()) + 1, len(cells)))
                continue
            found = {name: cells[place] for name, place in places.items()}
            if empty := [self._columns[name] for name, cell in found.items() if not cell.strip()]:
                bad_lines.report(where, "empty cell", f"nothing in column {', '.join(empty)}")
                continue
            yield where, found
        if number < 2:
            raise DataError(f"{table}: no line below the names of the columns")

    def _places(self, where: str, names: list[str]) -> dict[str, int]:
        missing = [column for column in self._columns.values() if column not in names]
        if missing:
            raise DataError(f"{where}: no column {', '.join(missing)}; there are {', '.join(names)}")
        return {name: names.index(column) for name, column in self._columns.items()}

    def _split(self, text: str) -> list[str]:
        if self._separator == "tab":
            return text.split("\t")
        return next(csv.reader([text], strict=True), [])
