"""Sentences with a word on each line, and what is said of it in columns: the format of the CoNLL's tasks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from registry import suggest
from zoo.data.bad_lines import BadLines
from zoo.data.corpora.text import SplitFiles, SplitFilesSpec
from zoo.data.lines import read_lines, wants_column
from zoo.errors import DataError
from zoo.kinds import CORPUS, Row

GLOBAL_COLUMNS = "# global.columns = "


class ConllSpec(SplitFilesSpec):
    names_fields: ClassVar = True

    type: Literal["conll"] = "conll"
    columns: Annotated[dict[str, int | str], Field(min_length=1)]
    """Where each field stands: `{tokens: 2, tags: 4}` counts columns from 1, and from the last with -1; names such as
    `{tokens: FORM, tags: UPOS}` are those of a file's line `# global.columns = ID FORM ...` (CoNLL-U Plus)."""
    separator: Literal["tab", "spaces"] = "tab"
    """What stands between two columns: a tab, or white space of any length."""
    comment: str | None = Field("#", min_length=1)
    """What a line begins with that is no word but a comment; null: there are none, as where a word may be #."""
    ids: int | str | None = None
    """The column of the words' numbers, by which ranges of several words (3-4) and words that are not there (5.1) are
    told and left out, as in CoNLL-U; null: every line is a word."""

    def check(self) -> None:
        if 0 in (*self.columns.values(), self.ids):
            raise ValueError("a column is 0; they are counted from 1, or from the last one with -1")

    @property
    def fields(self) -> tuple[str, ...]:
        return tuple(self.columns)


@CORPUS.register(
    "conll",
    spec=ConllSpec,
    examples=[
        {"train": "train.conllu", "dev": "dev.conllu.gz", "columns": {"tokens": 2, "tags": "UPOS"}, "ids": 1},
        {
            "train": "a.txt",
            "dev": "b.txt",
            "columns": {"tokens": 1, "tags": -1},
            "separator": "spaces",
            "comment": None,
        },
    ],
)
class Conll(SplitFiles):
    """One file for each split, sentences parted by empty lines; each field is a list with an item for each word."""

    def __init__(
        self,
        *,
        train: str,
        dev: str,
        test: str | None,
        columns: Mapping[str, int | str],
        separator: str,
        comment: str | None,
        ids: int | str | None,
        max_characters: int,
    ) -> None:
        settings = (list(columns.items()), separator, comment, ids, max_characters)
        super().__init__(*settings, train=train, dev=dev, test=test)
        self._columns = columns
        self._separator = "\t" if separator == "tab" else None
        self._comment = comment
        self._ids = ids
        self._max_characters = max_characters

    def rows(self, split: str, *, bad_lines: BadLines) -> Iterator[Row]:
        """Each sentence's fields. bad_lines is told of its first bad line, and with it the sentence is left out; its
        line is the sentence's first one.
        """
        path = self.paths[split]
        places = None if self._is_named else self._places((), path)
        words: list[list[str]] = []
        is_good, first, n_sentences = True, 0, 0
        for number, line in enumerate(read_lines(path, max_characters=self._max_characters), 1):
            if line.text.startswith(GLOBAL_COLUMNS):
                places = self._places(line.text.removeprefix(GLOBAL_COLUMNS).split(), path)
            if not line.reason and not line.text.strip():
                if words and is_good:
                    bad_lines.line = first
                    yield self._row(words)
                words, is_good, first = [], True, 0
                continue
            if not line.reason and self._comment is not None and line.text.startswith(self._comment):
                continue
            if places is None:
                raise DataError(
                    f"{path}:{number}: a word before any line `{GLOBAL_COLUMNS}...` (task.data.columns)"
                )
            n_sentences += not first
            first = first or number
            if not is_good:
                continue
            word, reason, detail = (
                ([], line.reason, line.detail)
                if line.reason
                else _word(line.text.split(self._separator), places)
            )
            if reason:
                bad_lines.line = number
                bad_lines.report(f"{path}:{number}", reason, detail)
                is_good = False
            elif self._ids is None or word[-1].isdecimal():
                words.append(word)
        if words and is_good:
            bad_lines.line = first
            yield self._row(words)
        if not n_sentences:
            raise DataError(f"{path}: there is no sentence in it")

    def _row(self, words: Sequence[Sequence[str]]) -> Row:
        return {
            name: list(cells) for name, cells in zip(self._columns, zip(*words, strict=True), strict=False)
        }

    @property
    def _wanted(self) -> list[int | str]:
        """The columns of the fields, and of the words' numbers."""
        return [*self._columns.values(), *([] if self._ids is None else [self._ids])]

    @property
    def _is_named(self) -> bool:
        return any(isinstance(column, str) for column in self._wanted)

    def _places(self, names: Sequence[str], path: Path) -> list[int]:
        """Where the wanted columns stand, from 0. Raises: DataError where a name is none of the file's."""
        for column in self._wanted:
            if isinstance(column, str) and column not in names:
                raise DataError(f"{path}: no column {column!r}; {suggest(column, names)} (task.data.columns)")
        return [
            names.index(column) if isinstance(column, str) else column - (column > 0)
            for column in self._wanted
        ]


def _word(cells: Sequence[str], places: Sequence[int]) -> tuple[list[str], str, str]:
    """The wanted cells of a line; or why it is bad, and a detail for the message."""
    missing = [place for place in places if not -len(cells) <= place < len(cells)]
    if missing:
        column = missing[0] + (missing[0] >= 0)
        return [], "missing column", wants_column(column, len(cells))
    word = [cells[place] for place in places]
    if empty := [place for place, cell in zip(places, word, strict=True) if not cell.strip()]:
        return [], "empty cell", f"nothing in column {empty[0] + (empty[0] >= 0)}"
    return word, "", ""
