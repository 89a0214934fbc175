"""Parallel text in a folder."""

from __future__ import annotations

from pathlib import Path

import pytest


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
