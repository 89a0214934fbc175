"""`zoo generate` as text is written."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from zoo.cli.arguments import usage_error
from zoo.cli.text import input_lines
from zoo.errors import DataError
from zoo.run.using import TrainedRun
from zoo.tasks.task import Refusal


def streams(trained: TrainedRun, is_asked: bool | None, n_best: int | None) -> bool:
    """Whether text is to be shown as it is written: as is asked, else on a terminal where it can be.

    Raises: SpecError where it is asked for and cannot be.
    """
    if is_asked and n_best is not None:
        raise usage_error("--stream shows one output as it is written; it does not go with --n-best")
    if is_asked and not trained.streams:
        trained.stream("")  # which says why not
    if is_asked is not None:
        return is_asked
    return n_best is None and sys.stdout.isatty() and trained.streams


def print_streams(trained: TrainedRun, files: Sequence[str]) -> None:
    """What is written for each line of the files, or of standard input, piece by piece: the bytes of `zoo generate`."""
    out = sys.stdout.buffer
    for name, first, lines in input_lines(files):
        for number, line in enumerate(lines, start=first):
            try:
                if isinstance(line, Refusal):
                    raise DataError(line.why)
                for piece in trained.stream(line):
                    out.write(piece.encode())
                    out.flush()
            except DataError as error:
                print(f"{name}:{number}: {error}: no output", file=sys.stderr)
            out.write(b"\n")
            out.flush()
