"""What a corpus may be able to do besides what every one can."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from zoo.data.bad_lines import BadLines
from zoo.kinds import Corpus


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
