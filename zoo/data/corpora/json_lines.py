"""Records as JSON, one a line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from registry import suggest
from registry.problems import show
from zoo.data.bad_lines import BadLines
from zoo.data.corpora._named import NamedFieldsSpec, checked
from zoo.data.corpora.text import TextFilesSpec
from zoo.data.lines import hash_files, read_records
from zoo.errors import DataError
from zoo.kinds import CORPUS, Row
from zoo.storage.records import json_fault

_Name = Annotated[str, Field(min_length=1)]


class JsonLinesSpec(NamedFieldsSpec, TextFilesSpec):
    type: Literal["json_lines"] = "json_lines"
    train: str
    """File to train on, plain or gzipped: an object on each line."""
    dev: str
    """File to validate on."""
    test: str | None = None
    """File to test on; null for none."""
    columns: dict[_Name, _Name] = Field({"text": "text"}, min_length=1)
    """The key of the objects that each field of a row is read from, such as `{text: content}`; other keys are left.
    By default the fields that the task reads, each under its own name."""


@CORPUS.register(
    "json_lines",
    spec=JsonLinesSpec,
    examples=[
        {"train": "train.jsonl", "dev": "dev.jsonl.gz"},
        {"train": "train.jsonl", "dev": "dev.jsonl", "columns": {"text": "content", "label": "stars"}},
    ],
)
class JsonLines:
    """One file for each split, an object on each line; the fields of a row are those of its keys that are asked for.

    A text must have something in it, and be one; a class is a name or a number; numbers and lists are given as they
    are.
    """

    def __init__(
        self, *, train: str, dev: str, test: str | None, columns: Mapping[str, str], max_characters: int
    ) -> None:
        named = {"train": train, "dev": dev, "test": test}
        self._paths = {split: Path(path).expanduser() for split, path in named.items() if path is not None}
        self._columns = dict(columns)
        self._max_characters = max_characters

    def splits(self) -> list[str]:
        """The splits that the spec names."""
        return list(self._paths)

    def where(self, split: str) -> str:
        """The file, for messages."""
        return str(self._paths[split])

    def rows(self, split: str, *, bad_lines: BadLines) -> Iterator[Row]:
        """The rows of a split. Raises: DataError as `read_records`, and for a file without lines."""
        path, number = self._paths[split], 0
        for number, line in enumerate(read_records(path, max_characters=self._max_characters), 1):
            bad_lines.line = number
            row, reason, detail = (None, line.reason, line.detail) if line.reason else self._row(line.text)
            if row is None:
                bad_lines.report(f"{path}:{number}", reason, detail)
            else:
                yield row
        if number == 0:
            raise DataError(f"{path}: the file is empty")

    def fingerprint(self, split: str) -> str:
        """SHA-256 of the file's bytes and of what decides how they are read."""
        return hash_files([self._paths[split]], sorted(self._columns.items()), self._max_characters)

    def _row(self, text: str) -> tuple[Row | None, str, str]:
        """A line's row; if it has none, the reason, and a detail for the message."""
        if not text.strip():
            return None, "empty line", ""
        try:
            value: Any = json.loads(text)
        except ValueError as error:
            return None, "no JSON", json_fault(error)
        except RecursionError:
            return None, "no JSON", "nested too deeply"
        if not isinstance(value, dict):
            return None, "no object", f'an object such as {{"text": "..."}} is asked for, got {show(value)}'
        for field, key in self._columns.items():
            found = value.get(key)
            if found is None:
                there_is = suggest(key, list(value), listed=True) if value else "it has no key at all"
                return None, "missing field", f"nothing under the key '{key}'; {there_is}"
            _, reason, detail = checked(field, found, beside=self._columns)
            if not reason and isinstance(found, str | list) and _has_surrogate(found):
                reason, detail = "broken text", "a lone surrogate"
            if reason:
                return None, reason, f"{detail} under the key '{key}'"
        return {field: value[key] for field, key in self._columns.items()}, "", ""


def _has_surrogate(found: str | list[Any]) -> bool:
    """Whether half of a surrogate pair, which JSON can write, stands in a text or in one of a list."""
    try:
        for text in [found] if isinstance(found, str) else found:
            str(text).encode()
    except UnicodeEncodeError:
        return True
    return False
