"""What the corpora of text files have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from zoo.data.bad_lines import BadLines
from zoo.data.lines import hash_files, read_pairs
from zoo.kinds import CorpusSpec, Row


class TextFilesSpec(CorpusSpec):
    max_characters: int = Field(100_000, ge=1, le=10**8)
    """Longest line; a longer one is bad, and never wholly in memory."""


class SplitFilesSpec(TextFilesSpec):
    train: str
    """File to train on, plain or gzipped."""
    dev: str
    """File to validate on."""
    test: str | None = None
    """File to test on; null for none."""


class PairsSpec(TextFilesSpec):
    fields: ClassVar = ("source", "target")


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

    def rows(self, split: str, *, bad_lines: BadLines) -> Iterator[Row]:
        """source and target of each pair, as `read_pairs` reads them, and with further references, `references`."""
        for source, target, *further in read_pairs(
            *self._paths[split], max_characters=self._max_characters, bad_lines=bad_lines
        ):
            yield {"source": source, "target": target, **({"references": further} if further else {})}

    def fingerprint(self, split: str) -> str:
        """SHA-256 of the files' bytes and of what decides how they are read."""
        return hash_files(self._paths[split], self._max_characters)


class SplitFiles:
    """Splits of a file each, read with some settings."""

    def __init__(self, *settings: object, train: str, dev: str, test: str | None) -> None:
        named = {"train": train, "dev": dev, "test": test}
        self.paths = {split: Path(path).expanduser() for split, path in named.items() if path is not None}
        self._settings = settings

    def splits(self) -> list[str]:
        """The splits that the spec names."""
        return list(self.paths)

    def where(self, split: str) -> str:
        """The file, for messages."""
        return str(self.paths[split])

    def fingerprint(self, split: str) -> str:
        """SHA-256 of the file's bytes and of what decides how they are read."""
        return hash_files([self.paths[split]], *self._settings)
