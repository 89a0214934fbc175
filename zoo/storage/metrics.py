"""metrics.jsonl, a run's record of itself, as it is read. Needs no lightning: a fast start."""

from __future__ import annotations

import json
from pathlib import Path

from zoo.errors import RunError

METRICS_FILE = "metrics.jsonl"

Value = str | int | float | None
"""What a record holds; a number that is not finite is written as null."""


def read(folder: Path) -> list[dict[str, Value]]:
    """The records of a run, in order; a last line that a kill cut short is left out.

    Raises: RunError when there is no metrics.jsonl, or another line of it is no record.
    """
    path = folder / METRICS_FILE
    try:
        lines = _whole_lines(path)
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be read: {error}") from error
    return [_record(line, f"{path}:{number}") for number, line in enumerate(lines, 1)]


def seconds_trained(folder: Path) -> float:
    """Time spent training by the last record of a run, over all resumes; 0 without any."""
    try:
        lines = _whole_lines(folder / METRICS_FILE)
        return float(json.loads(lines[-1])["seconds"]) if lines else 0.0
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0


def _record(line: str, where: str) -> dict[str, Value]:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise RunError(f"{where}: damaged: {error}") from error
    if not isinstance(record, dict):
        raise RunError(f"{where}: damaged: it holds no mapping")
    return record


def _whole_lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split("\n")[:-1]
