from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from zoo.errors import RunError
from zoo.storage.records import read_record, write_record


def number(data: dict[str, Any]) -> int:
    return int(data["file"]["number"])


def test_what_was_written_is_found(tmp_path: Path) -> None:
    write_record(tmp_path / "a.json", {"file": {"number": 3}, "name": "ü\udcff"})  # a path's undecodable byte
    assert read_record(tmp_path / "a.json", number) == 3
    assert read_record(tmp_path / "a.json", lambda data: data["name"]) == "ü\udcff"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"{", "it is not JSON"),
        (b"\xff", "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b"[3]", "it holds no mapping"),
        (b"{}", "KeyError"),
        (b'{"file": 3}', "TypeError"),
        (b'{"file": {"number": "x"}}', "ValueError"),
    ],
)
def test_a_damaged_record_is_said_to_be_one(tmp_path: Path, text: bytes, said: str) -> None:
    (tmp_path / "a.json").write_bytes(text)
    with pytest.raises(RunError, match=rf"a\.json: damaged: {said}"):
        read_record(tmp_path / "a.json", number)


def test_a_missing_record_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"a\.json: cannot be read: No such file or directory$"):
        read_record(tmp_path / "a.json", number)
