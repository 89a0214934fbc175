"""Task: what is learnt, from which rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from torch import nn

from registry import Kind
from zoo.kinds.corpus import Row


class Task(Protocol):
    """zoo.tasks.task.Task, of which each task is a subclass, says all of it; the spec is a TaskSpec. Built with the
    spec of the model and the run's coders, none before they are learnt; check(model=) of the spec with the model's.
    """

    def encode(self, rows: Sequence[Row], *, is_scored: bool) -> Sequence[Any]:
        """An example of each row, named arrays, or why there is none."""
        ...

    def collate(self, examples: Sequence[Mapping[str, Any]]) -> Any:
        """The batch of some examples."""
        ...

    def loss(self, model: nn.Module, batch: Any, *, is_training: bool) -> Any:
        """The loss of a batch, summed over what is predicted."""
        ...

    def predict(self, model: nn.Module, batch: Any, *, decoding: Any) -> Sequence[Any]:
        """The answer for each row."""
        ...


TASK = Kind(
    "task",
    package="zoo.tasks",
    context=("model", "coders"),
    check=("model",),
    summary="what is learnt, from which rows, and how it is measured",
    contract=Task,
)
