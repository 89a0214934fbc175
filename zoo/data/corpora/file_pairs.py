"""Parallel text named file by file."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from zoo.data.corpora.text import PairedFiles, PairsSpec
from zoo.kinds import CORPUS


class FilePairsSpec(PairsSpec):
    type: Literal["file_pairs"] = "file_pairs"
    train: tuple[str, str]
    """Source file and target file to train on, plain or gzipped."""
    dev: tuple[str, str]
    """Files to validate on."""
    test: tuple[str, str] | None = None
    """Files to test on; null for none."""
    dev_references: tuple[str, ...] = ()
    """Further reference files to validate with, line i translating line i again; a line may be empty there."""
    test_references: tuple[str, ...] = ()
    """Further reference files to test with."""

    def check(self) -> None:
        if self.test is None and self.test_references:
            raise ValueError("test_references are given, but no test")


@CORPUS.register(
    "file_pairs",
    spec=FilePairsSpec,
    examples=[{"train": ["train.en", "train.de"], "dev": ["dev.en", "dev.de"], "max_characters": 500}],
)
class FilePairs(PairedFiles):
    """A source file and a target file for each split, line i translated by line i."""

    def __init__(
        self,
        *,
        train: tuple[str, str],
        dev: tuple[str, str],
        test: tuple[str, str] | None,
        dev_references: tuple[str, ...],
        test_references: tuple[str, ...],
        max_characters: int,
    ) -> None:
        named = {"train": train, "dev": dev, "test": test}
        further = {"train": (), "dev": dev_references, "test": test_references}
        paths = {
            split: (
                Path(pair[0]).expanduser(),
                Path(pair[1]).expanduser(),
                *(Path(path).expanduser() for path in further[split]),
            )
            for split, pair in named.items()
            if pair is not None
        }
        super().__init__(paths, max_characters)
