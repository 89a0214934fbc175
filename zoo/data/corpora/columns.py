"""Rows in the columns of a file: TSV, CSV and the like."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

from registry import suggest
from zoo.amounts import amount
from zoo.data.bad_lines import BadLines
from zoo.data.corpora.text import SplitFiles, SplitFilesSpec
from zoo.data.lines import Line, read_records
from zoo.errors import DataError
from zoo.kinds import CORPUS, Row

SEPARATORS = {"tab": "\t", "comma": ",", "semicolon": ";"}
UNUSED = "_"


class ColumnsSpec(SplitFilesSpec):
    names_fields: ClassVar = True

    type: Literal["columns"] = "columns"
    columns: tuple[str, ...] | dict[str, str]
    """The field that each column holds, in order, `_` for one that is not read: `[label, _, text]`. Or, of files with a
    heading, what the heading calls the column of each field: `{label: stars, text: review}`."""
    separator: Literal["tab", "comma", "semicolon"] = "tab"
    """What stands between two columns."""
    quoting: Literal["none", "double"] = "none"
    """none: a quote is a character like any other, as is usual in TSV; double: a cell may stand in "double quotes", and
    then hold separators, line ends and, doubled, quotes, as is usual in CSV."""
    heading: bool = False
    """Whether each file's first line is a heading."""

    def check(self) -> None:
        if not self.fields:
            raise ValueError("columns names no field")
        if len(set(self.fields)) < len(self.fields):
            raise ValueError(f"columns names a field twice: {', '.join(self.fields)}")
        if isinstance(self.columns, dict) and not self.heading:
            raise ValueError(
                "columns are found by their names in a heading: set heading=true, or list them in order"
            )

    @property
    def fields(self) -> tuple[str, ...]:
        return tuple(name for name in self.columns if name != UNUSED)


@CORPUS.register(
    "columns",
    spec=ColumnsSpec,
    examples=[
        {"train": "train.tsv.gz", "dev": "dev.tsv", "columns": ["label", "_", "text"]},
        {
            "train": "train.csv", "dev": "dev.csv", "columns": {"label": "stars", "text": "review"},
            "separator": "comma", "quoting": "double", "heading": True,
        },
    ],
)  # fmt: skip
class Columns(SplitFiles):
    """One file for each split, a row on each line: a cell for each column, none of those that are read empty.

    Cells are text; what a number is, a task knows.
    """

    def __init__(
        self,
        *,
        train: str,
        dev: str,
        test: str | None,
        columns: Sequence[str] | Mapping[str, str],
        separator: str,
        quoting: str,
        heading: bool,
        max_characters: int,
    ) -> None:
        named = list(columns.items()) if isinstance(columns, Mapping) else list(columns)
        super().__init__(named, separator, quoting, heading, max_characters, train=train, dev=dev, test=test)
        self._columns = columns
        self._separator = SEPARATORS[separator]
        self._quoting: Literal[0, 3] = csv.QUOTE_NONE if quoting == "none" else csv.QUOTE_MINIMAL
        self._heading = heading
        self._max_characters = max_characters

    def rows(self, split: str, *, bad_lines: BadLines) -> Iterator[Row]:
        """Each row's fields. bad_lines is told of a row without all its columns, of an empty cell, and of quotes that
        do not stand around a whole cell; its line is the row's first one.
        """
        path, names = self.paths[split], self._columns
        records = self._records(path)
        if self._heading:
            heading = next(records, None)
            if heading is None:
                raise DataError(f"{path}: the file is empty")
            _, fault, cells = heading
            if fault.reason:
                raise DataError(f"{path}:1: {fault.reason}: {fault.detail}")
            names = _in_order(names, cells, path) if isinstance(names, Mapping) else names
        number = 0
        for number, fault, cells in records:
            bad_lines.line = number
            fault = fault if fault.reason else _fault(names, cells)
            if fault.reason:
                is_quoted = self._quoting == csv.QUOTE_NONE and any(cell.startswith('"') for cell in cells)
                hint = "; if cells stand in quotes, set task.data.quoting=double" if is_quoted else ""
                bad_lines.report(f"{path}:{number}", fault.reason, fault.detail + hint)
                continue
            yield {name: cell for name, cell in zip(names, cells, strict=True) if name != UNUSED}
        if not number:
            raise DataError(f"{path}: there is no row in it")

    def _records(self, path: Path) -> Iterator[tuple[int, Line, list[str]]]:
        """The cells of each record, after the number of its first line and what is wrong with it, if anything is."""
        fault = Line("")

        def texts() -> Iterator[str]:
            nonlocal fault
            for line in read_records(path, max_characters=self._max_characters):
                fault = fault if fault.reason else line
                yield line.text + "\n"

        csv.field_size_limit(
            max(csv.field_size_limit(), self._max_characters)
        )  # of a cell, however many lines it has
        reader = csv.reader(texts(), delimiter=self._separator, quoting=self._quoting, strict=True)
        while True:
            number = reader.line_num + 1
            fault, cells = Line(""), []
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                fault = fault if fault.reason else Line("", "bad quoting", str(error))
            yield number, fault, cells


def _in_order(columns: Mapping[str, str], heading: Sequence[str], path: Path) -> tuple[str, ...]:
    """The field of each column of a file, by its heading. Raises: DataError where one is missing, or there twice."""
    names = [UNUSED] * len(heading)
    for field, title in columns.items():
        if heading.count(title) != 1:
            what = (
                f"names {title!r} twice"
                if title in heading
                else f"has no {title!r}; {suggest(title, heading)}"
            )
            raise DataError(f"{path}:1: the heading {what} (task.data.columns)")
        names[heading.index(title)] = field
    return tuple(names)


def _fault(names: Sequence[str] | Mapping[str, str], cells: Sequence[str]) -> Line:
    """What is wrong with a row's cells; a reason of "" if nothing is."""
    if not any(cell.strip() for cell in cells):
        return Line("", "empty line")
    if len(cells) != len(names):
        return Line(
            "", "other columns", f"{amount(len(cells), 'column')}, where task.data.columns names {len(names)}"
        )
    empty = [name for name, cell in zip(names, cells, strict=True) if name != UNUSED and not cell.strip()]
    return Line("", "empty cell", f"nothing in column {' and '.join(empty)}") if empty else Line("")
