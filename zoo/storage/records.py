"""JSON files of one mapping, which say in a folder what is in it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from zoo.errors import RunError
from zoo.storage.files import write_text

T = TypeVar("T")


def write_record(file: Path, data: Mapping[str, Any]) -> None:
    """Replaces a record in one move. Raises: RunError where it cannot be written."""
    write_text(file, json.dumps(data, indent=1) + "\n")


def read_json(file: Path) -> dict[str, Any]:
    """A JSON object. Raises: RunError for a file that is missing, unreadable or something else."""
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(f"{file}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise RunError(f"{file}: damaged: it is not JSON ({json_fault(error)})") from None
    if not isinstance(data, dict):
        raise RunError(f"{file}: damaged: it holds no mapping")
    return data


def json_fault(error: Exception) -> str:
    """What is wrong with a text that is no JSON, and at which character; the line, too, where it has several."""
    if not isinstance(error, json.JSONDecodeError):
        return str(error)
    line = f"line {error.lineno}, " if "\n" in error.doc.strip() else ""
    return f"{error.msg[:1].lower()}{error.msg[1:]} at {line}character {error.colno}"


def read_record(file: Path, take: Callable[[dict[str, Any]], T]) -> T:
    """What `take` finds in a record.

    Raises: RunError for one that is missing or unreadable, or in which `take` does not find what it looks for.
    """
    data = read_json(file)
    try:
        return take(data)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(f"{file}: damaged: {error!r}") from None
