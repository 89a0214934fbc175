"""Corpus: where examples come from."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Protocol, Self

from registry import Kind, Spec

Row = Mapping[str, Any]
"""One record: text, a label, tokens with their tags, an image, ... by the names of its fields."""


class CorpusSpec(Spec):
    """Base of every corpus's spec."""

    names_fields: ClassVar[bool] = False
    """Whether its key `columns` names the fields, so that one that no task reads there is a mistake."""

    @property
    @abstractmethod
    def fields(self) -> tuple[str, ...]:
        """The names of the fields that each row has, known before any data is read.

        A corpus whose rows always have the same says so by a ClassVar.
        """

    def read_by(self, fields: tuple[str, ...]) -> Self:
        """The corpus for a task that reads these fields, where its spec leaves to the task which there are."""
        return self


class Corpus(Protocol):
    """Rows of named fields in splits: train and dev, perhaps test. The spec is a CorpusSpec and says the fields."""

    def splits(self) -> list[str]:
        """The names of the splits there are."""
        ...

    def where(self, split: str) -> str:
        """What to call a split in a message: its file."""
        ...

    def rows(self, split: str, *, bad_lines: Any) -> Iterator[Row]:
        """Each good row, in order, read as it is asked for; a bad one is given to bad_lines, see
        zoo.data.bad_lines. Raises: DataError naming file and line or record.
        """
        ...

    def fingerprint(self, split: str) -> str:
        """A hash that changes whenever the rows of the split do; far cheaper than reading them where it can be."""
        ...


CORPUS = Kind(
    "corpus",
    package="zoo.data.corpora",
    context=(),
    check=(),
    summary="where examples come from",
    contract=Corpus,
)
