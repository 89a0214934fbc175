"""`zoo predict`: what is asked, from files that are a row each and from lines, and the answers as they come."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from zoo.amounts import cut_text
from zoo.cli.text import STANDARD_INPUT, input_lines, json_rows
from zoo.run.using import CUT, FILE_ROWS, TrainedRun, predictions
from zoo.tasks.task import Task

_JSON_LINES = (".jsonl", ".jsonl.gz")


@dataclass(frozen=True)
class _Question:
    row: Any
    where: str
    """For messages: the file, or the file and the line."""
    file: str | None
    """The file that the row is, as it was given; None where it is none, or the only one."""


def print_predictions(trained: TrainedRun, files: Sequence[str], *, embed: bool, json_lines: bool) -> None:
    """A line of JSON for each row, as they come; a row that cannot be answered is named on standard error besides, and
    at the end how many were cut.
    """
    n_rows, n_cut, task = 0, 0, trained.reader if embed else trained.task
    for group in _groups(task, files or [STANDARD_INPUT], json_lines):
        answers = predictions(trained, [question.row for question in group], embed=embed)
        for question, answer in zip(group, answers, strict=True):
            n_rows, n_cut = n_rows + 1, n_cut + (CUT in answer)
            if "refused" in answer:
                print(f"{question.where}: {answer['refused']}: no answer", file=sys.stderr)
            named = {} if question.file is None else {"file": question.file}
            line = json.dumps({**named, **answer}, ensure_ascii=False)
            sys.stdout.buffer.write(line.encode(errors="surrogateescape") + b"\n")
        sys.stdout.buffer.flush()
    if n_cut:
        print(cut_text(n_cut, n_rows, task.cut_to), file=sys.stderr)


def _groups(task: Task, files: Sequence[str], json_lines: bool) -> Iterator[list[_Question]]:
    """What is asked, in the order of the files: together what comes at once."""
    suffixes = tuple(task.file_suffixes)
    remaining = list(files)
    while remaining:
        n_rows = next((i for i, name in enumerate(remaining) if not _is_row(name, suffixes)), len(remaining))
        rows, remaining = iter(remaining[:n_rows]), remaining[n_rows:]
        while some := list(islice(rows, FILE_ROWS)):
            yield [_Question(Path(name), name, name if len(files) > 1 else None) for name in some]
        if remaining:
            name, *remaining = remaining
            yield from _of_lines(task, name, is_json=json_lines or name.endswith(_JSON_LINES))


def _is_row(name: str, suffixes: tuple[str, ...]) -> bool:
    return bool(suffixes) and name != STANDARD_INPUT and name.lower().endswith(suffixes)


def _of_lines(task: Task, file: str, *, is_json: bool) -> Iterator[list[_Question]]:
    fields = task.file_fields
    base = Path() if file == STANDARD_INPUT else Path(file).parent
    for name, first, lines in input_lines([file]):
        rows = json_rows(lines) if is_json else lines
        yield [
            _of_line(row, f"{name}:{number}", fields, base) for number, row in enumerate(rows, start=first)
        ]


def _of_line(row: Any, where: str, fields: tuple[str, ...], base: Path) -> _Question:
    """Paths in JSON lines are seen from the folder of their file, as in a manifest; lines that are paths, from here."""
    if not fields:
        return _Question(row, where, None)
    if isinstance(row, str):
        return _Question(row, where, row)
    named = next((name for name in fields if isinstance(row, dict) and isinstance(row.get(name), str)), None)
    if named is None:
        return _Question(row, where, None)
    return _Question({**row, named: str(base / row[named])}, where, row[named])
