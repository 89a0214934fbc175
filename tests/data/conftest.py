"""Small corpora that need no file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

import pytest

from zoo.data.bad_lines import BadLines
from zoo.kinds import Row


class ListCorpus:
    """A corpus of given rows; None stands for a bad line."""

    def __init__(self, **splits: list[Row | None]) -> None:
        self.given = splits
        self.n_reads = 0

    def splits(self) -> list[str]:
        return list(self.given)

    def where(self, split: str) -> str:
        return f"{split}.txt"

    def fingerprint(self, split: str) -> str:
        return hashlib.sha256(repr(self.given[split]).encode()).hexdigest()

    def rows(self, split: str, *, bad_lines: BadLines) -> Iterator[Row]:
        self.n_reads += 1
        for number, row in enumerate(self.given[split], 1):
            bad_lines.line = number
            if row is None:
                bad_lines.report(f"{split}.txt:{number}", "bad", "")
            else:
                yield row


@pytest.fixture
def list_corpus() -> Callable[..., ListCorpus]:
    return ListCorpus
