"""Corpus: where examples come from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from registry import Kind


class Corpus(Protocol):
    """Sentence pairs in splits: train and dev, perhaps test."""

    def splits(self) -> list[str]:
        """The names of the splits there are."""
        ...

    def where(self, split: str) -> str:
        """What to call a split in a message: its file."""
        ...

    def pairs(self, split: str, *, bad_lines: Any) -> Iterator[tuple[str, str]]:
        """(source, target) of each good line, in order, read as it is asked for; a bad one is given to bad_lines, see
        zoo.data.bad_lines. Raises: DataError naming file and line.
        """
        ...

    def fingerprint(self, split: str) -> str:
        """A hash that changes whenever the pairs of the split do; far cheaper than reading them."""
        ...


CORPUS = Kind(
    "corpus",
    package="zoo.data.corpora",
    context=(),
    summary="where examples come from",
    contract=Corpus,
)
