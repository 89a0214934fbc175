"""Task: what is learnt, from which data."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from registry import Kind, Spec
from zoo.progress import Report


class Task(Protocol):
    """check(model=) of the spec with the model's."""

    def prepare(
        self,
        *,
        model: Spec,
        folder: Path,
        tokens_per_batch: int,
        seed: int,
        is_resumed: bool,
        report: Report | None = None,
    ) -> Any:
        """Reads, checks and tokenizes the data for a model, as a zoo.tasks.task.Prepared; the tokenizer is stored in
        the run folder; report is told what is going on, and how far it is. Raises: DataError for bad data, or where
        the score needs what is not installed; RunError where the run folder's tokenizer is missing or damaged.
        """
        ...


TASK = Kind(
    "task",
    package="zoo.tasks",
    context=(),
    summary="spec + batch -> loss and metrics",
    contract=Task,
)
