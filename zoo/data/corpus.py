"""What a corpus can do, whatever its kind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from zoo.data.bad_lines import BadLines


class Corpus(Protocol):
    """Sentence pairs in splits: train and dev, perhaps test."""

    def splits(self) -> list[str]:
        """The names of the splits there are."""
        ...

    def where(self, split: str) -> str:
        """What to call a split in a message: its file."""
        ...

    def pairs(self, split: str, *, bad_lines: BadLines) -> Iterator[tuple[str, str]]:
        """(source, target) of each good line, in order, read as it is asked for.

        Raises: DataError naming file and line.
        """
        ...

    def fingerprint(self, split: str) -> str:
        """A hash that changes whenever the pairs of the split do; far cheaper than reading them."""
        ...


@runtime_checkable
class ManyReferences(Protocol):
    """A corpus that may have several references of a source."""

    def with_references(self, split: str, *, bad_lines: BadLines) -> Iterator[tuple[str, ...]]:
        """Each pair that `pairs` gives, followed by its further references, "" for one that is not there."""
        ...


def referenced(corpus: Corpus, split: str, *, bad_lines: BadLines) -> Iterator[tuple[str, ...]]:
    """(source, reference, further references) of each good line, in order. Raises: as `pairs`."""
    if isinstance(corpus, ManyReferences):
        return corpus.with_references(split, bad_lines=bad_lines)
    return iter(corpus.pairs(split, bad_lines=bad_lines))
