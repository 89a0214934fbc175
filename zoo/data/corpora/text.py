"""What the corpora of text files have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import Field

from registry import Spec
from zoo.data.bad_lines import BadLines
from zoo.data.lines import hash_files, read_pairs


class TextFilesSpec(Spec):
    max_characters: int = Field(100_000, ge=1, le=10**8)
    """Longest line; a longer one is bad, and never wholly in memory."""


class PairedFiles:
    """Splits of two files each, line i of one translated by line i of the other, and by that of further references."""

    def __init__(self, paths: Mapping[str, Sequence[Path]], max_characters: int) -> None:
        self._paths = dict(paths)
        self._max_characters = max_characters

    def splits(self) -> list[str]:
        """The splits that the spec names."""
        return list(self._paths)

    def where(self, split: str) -> str:
        """The source file, for messages."""
        return str(self._paths[split][0])

    def pairs(self, split: str, *, bad_lines: BadLines) -> Iterator[tuple[str, str]]:
        """The pairs of a split; a line that is bad in a further reference is bad."""
        return ((row[0], row[1]) for row in self.with_references(split, bad_lines=bad_lines))

    def with_references(self, split: str, *, bad_lines: BadLines) -> Iterator[tuple[str, ...]]:
        """Source, reference and further references of each pair, as `read_pairs` reads them."""
        return read_pairs(*self._paths[split], max_characters=self._max_characters, bad_lines=bad_lines)

    def fingerprint(self, split: str) -> str:
        """SHA-256 of the files' bytes and of what decides how they are read."""
        return hash_files(self._paths[split], self._max_characters)
