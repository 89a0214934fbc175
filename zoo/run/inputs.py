"""What a model is asked about: lines, rows of fields, files by their paths, arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo.kinds import Row
from zoo.tasks.task import Refusal, Task

TEXT_FIELDS = ("source", "text")
LINE_FIELDS = (*TEXT_FIELDS, "tokens")
"""Fields that a line of text can be: a text, or words with spaces between them."""


def asked_row(task: Task, reads: Sequence[str], given: Any) -> Row | Refusal:
    """A row with what is asked about only, or why it is none.

    given is a row of fields, a line of text, or of a task whose rows may be files the path of one. A field that may
    name a file is read from it.
    """
    if isinstance(given, Refusal):
        return given
    if isinstance(given, str | Path):
        if task.file_fields:
            return _of_file(task, given)
        if reads[0] not in LINE_FIELDS or isinstance(given, Path):
            return Refusal(f"the task reads {reads[0]}, and this is {given}")
        return {reads[0]: given}
    if task.file_fields and not isinstance(given, Mapping):
        given = {task.file_fields[0]: given}  # an array
    if not isinstance(given, Mapping):
        return Refusal("no line of text and no object with fields")
    field, *found_out = reads
    if task.file_fields:
        found_out = [name for name in found_out if name != "rate"]  # a recording's own
    row = {name: value for name, value in given.items() if name not in found_out}
    named = next((name for name in task.file_fields if isinstance(row.get(name), str | Path)), None)
    if named is not None and (field not in row or named == field):
        found = _of_file(task, row[named])
        return found if isinstance(found, Refusal) else {**row, **found}
    if field not in row:
        return Refusal(f"it has no field '{field}'")
    if field in TEXT_FIELDS and not isinstance(row[field], str):
        return Refusal(f"its field '{field}' is no text")
    try:
        return task.row_of_numbers(row)
    except (ValueError, TypeError, OverflowError) as error:
        return Refusal(f"its field '{field}': {error}")


def _of_file(task: Task, path: str | Path) -> Row | Refusal:
    if not str(path).strip():
        return Refusal("an empty line, where the path of a file is asked for")
    file = Path(path).expanduser()
    try:
        return task.row_of_file(file)
    except (ValueError, OSError) as error:  # DataError is a ValueError: one file costs itself
        # Who is told knows which file it was.
        why = str(error).removeprefix(f"{file}: ").removeprefix(f"{file}:")
        return Refusal(why if not why[:1].isdecimal() else f"line {why}")
