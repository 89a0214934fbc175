"""Small corpora that need no file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from zoo.data.bad_lines import BadLines


class ListCorpus:
    """A corpus of given pairs; None stands for a bad line."""

    def __init__(self, **splits: list[tuple[str, str] | None]) -> None:
        self.given = splits
        self.n_reads = 0

    def splits(self) -> list[str]:
        return list(self.given)

    def where(self, split: str) -> str:
        return f"{split}.txt"

    def fingerprint(self, split: str) -> str:
        return hashlib.sha256(repr(self.given[split]).encode()).hexdigest()

    def pairs(self, split: str, *, bad_lines: BadLines) -> Iterator[tuple[str, str]]:
        self.n_reads += 1
        for number, pair in enumerate(self.given[split], 1):
            bad_lines.line = number
            if pair is None:
                bad_lines.report(f"{split}.txt:{number}", "bad", "")
            else:
                yield pair


@pytest.fixture
def list_corpus() -> Callable[..., ListCorpus]:
    return ListCorpus


@pytest.fixture
def text_folder(tmp_path: Path) -> Path:
    """train, dev and test of 90, 7 and 5 pairs of words, in a folder of its own."""
    folder = tmp_path / "text"
    folder.mkdir()
    for split, n in {"train": 90, "dev": 7, "test": 5}.items():
        rows = [(" ".join("abcdefg"[(i * k) % 7] * 2 for k in range(1, 2 + i % 6)), "x y z w"[: 1 + i % 7])
                for i in range(n)]  # fmt: skip
        for side, language in enumerate(("de", "en")):
            text = "".join(f"{split}{i % 3} {row[side].strip()}\n" for i, row in enumerate(rows))
            (folder / f"{split}.{language}").write_text(text, encoding="utf-8")
    return folder
