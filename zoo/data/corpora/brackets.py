"""Constituency trees in files, one on each line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from zoo.data.bad_lines import BadLines
from zoo.data.brackets import UNCLOSED, parse
from zoo.data.corpora.text import TextFilesSpec
from zoo.data.lines import Line, hash_files, read_records, wants_column
from zoo.errors import DataError
from zoo.kinds import CORPUS, Row


class BracketsSpec(TextFilesSpec):
    fields: ClassVar = ("tree",)

    type: Literal["brackets"] = "brackets"
    train: str
    """File to train on, plain or gzipped: on each line a tree such as `(ROOT (S (NP (DT the) ...) ...))`."""
    dev: str
    """File to validate on."""
    test: str | None = None
    """File to test on; null for none."""
    lines: Literal["one", "several"] = "one"
    """How many lines a tree has. several: as in the Penn Treebank, a line that begins with a space goes on with the one
    before, and empty lines may stand between trees."""
    column: int = Field(1, ge=1, le=1000)
    """Column of the tree, of lines with tabs between columns; the first one is 1."""

    def check(self) -> None:
        if self.lines == "several" and self.column > 1:
            raise ValueError(
                f"trees of several lines stand in no column {self.column}; set lines=one or column=1"
            )


@CORPUS.register(
    "brackets", spec=BracketsSpec, examples=[{"train": "train.tsv.gz", "dev": "dev.tsv", "column": 2}]
)
class Brackets:
    """One file for each split, a tree in Penn Treebank brackets on each line, or on several."""

    def __init__(
        self,
        *,
        train: str,
        dev: str,
        test: str | None,
        lines: Literal["one", "several"],
        column: int,
        max_characters: int,
    ) -> None:
        named = {"train": train, "dev": dev, "test": test}
        self._paths = {split: Path(path).expanduser() for split, path in named.items() if path is not None}
        self._is_indented = lines == "several"
        self._column = column
        self._max_characters = max_characters

    def splits(self) -> list[str]:
        """The splits that the spec names."""
        return list(self._paths)

    def where(self, split: str) -> str:
        """The file, for messages."""
        return str(self._paths[split])

    def rows(self, split: str, *, bad_lines: BadLines) -> Iterator[Row]:
        """The trees of a split. Raises: DataError as `read_records`, and where a line is bad and may not be."""
        path, number = self._paths[split], 0
        lines = enumerate(read_records(path, max_characters=self._max_characters), 1)
        for number, line in _indented(lines) if self._is_indented else lines:
            bad_lines.line = number
            reason, detail, tree = line.reason, line.detail, ""
            if not reason:
                cells = line.text.split("\t")
                if len(cells) < self._column:
                    reason, detail = "missing column", wants_column(self._column, len(cells))
                else:
                    tree = cells[self._column - 1]
                    reason, detail = _fault(tree)
                    if detail.endswith(UNCLOSED) and not self._is_indented:
                        detail += "; if a tree goes over several lines, set task.data.lines=several"
            if reason:
                bad_lines.report(f"{path}:{number}", reason, detail)
                continue
            yield {"tree": tree}
        if number == 0:
            raise DataError(f"{path}: the file is empty")

    def fingerprint(self, split: str) -> str:
        """SHA-256 of the file's bytes and of what decides how they are read."""
        indented = ("indented",) if self._is_indented else ()
        return hash_files([self._paths[split]], self._column, self._max_characters, *indented)


def _indented(lines: Iterable[tuple[int, Line]]) -> Iterator[tuple[int, Line]]:
    """Each tree on one line, after the number of its first; of a bad line nothing is read that goes on with it."""
    first = 0
    whole: Line | None = None
    for number, line in lines:
        if whole is not None and line.text[:1].isspace() and line.text.strip():
            whole = whole if whole.reason else Line(f"{whole.text} {line.text.strip()}")
            continue
        if whole is not None and not whole.reason:
            yield first, whole
        first, whole = number, line if line.reason or line.text.strip() else None
        if line.reason:
            yield number, line
    if whole is not None and not whole.reason:
        yield first, whole


def _fault(tree: str) -> tuple[str, str]:
    if not tree.strip():
        return "empty line", ""
    try:
        parse(tree)
    except ValueError as error:
        return "no tree", str(error)
    return "", ""
