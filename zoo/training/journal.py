"""The run's record of itself: metrics.jsonl, and from it a table and TensorBoard's files.

metrics.jsonl is the truth: one JSON object a line, {"kind": "train" or "validation", "step": ...}, in the
order in which things happened. A resumed run cuts it back to where its checkpoint was made, so no step is
there twice or missing. metrics.csv and tensorboard/ are derived from it.
"""

from __future__ import annotations

import csv
import io
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from zoo.errors import RunError
from zoo.storage import files
from zoo.storage.metrics import METRICS_FILE, Value, read

TABLE_FILE = "metrics.csv"
TENSORBOARD_FOLDER = "tensorboard"


class Journal:
    """Appends to a run's metrics.jsonl, after dropping what stands beyond byte `start`.

    step is the step those first bytes reach; TensorBoard hides what it has of later ones.
    Raises: RunError, from every method, when the disk refuses.
    """

    def __init__(self, folder: Path, *, start: int, step: int) -> None:
        self._folder = folder
        path = folder / METRICS_FILE
        try:
            self._file = path.open("ab")
            size = self._file.tell()
            if size < start:
                logging.getLogger(__name__).warning(
                    "%s: shorter (%d bytes) than when step %d was saved (%d bytes); the record has a gap",
                    *(path, size, step, start),
                )
            self._file.truncate(min(start, size))
            self._board = SummaryWriter(folder / TENSORBOARD_FOLDER, purge_step=step + 1)
        except OSError as error:
            raise RunError(f"{path}: cannot be written: {error.strerror}") from error

    def append(self, record: Mapping[str, Value]) -> None:
        """Writes one record, out of this process's hands when it returns."""
        finite = {key: None if isinstance(v, float) and v - v != 0 else v for key, v in record.items()}
        try:
            self._file.write(json.dumps(finite, allow_nan=False).encode() + b"\n")
            self._file.flush()
            for key, value in finite.items():
                if isinstance(value, int | float) and key != "step":
                    self._board.add_scalar(f"{finite['kind']}/{key}", value, finite["step"])
        except OSError as error:
            raise RunError(f"{self._folder / METRICS_FILE}: cannot be written: {error.strerror}") from error

    def position(self) -> int:
        """Size in bytes of what is written, all of it on the disk when this returns."""
        try:
            os.fsync(self._file.fileno())
            return self._file.tell()
        except OSError as error:
            raise RunError(f"{self._folder / METRICS_FILE}: cannot be written: {error.strerror}") from error

    def write_table(self) -> None:
        """Renews metrics.csv: a row for each record, a column for each key that any record has."""
        records = read(self._folder)
        columns = dict.fromkeys(key for record in records for key in record)
        table = io.StringIO()
        writer = csv.DictWriter(table, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)
        files.write_text(self._folder / TABLE_FILE, table.getvalue())

    def close(self) -> None:
        """Ends the writing; nothing may be appended after it."""
        try:
            self._file.close()
            self._board.close()
        except OSError as error:
            raise RunError(f"{self._folder / METRICS_FILE}: cannot be written: {error.strerror}") from error
