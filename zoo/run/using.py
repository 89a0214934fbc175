"""A trained run in use: its model, what its task can do with it, and answers to whatever it is given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from registry import Problem, SpecError
from zoo.assembly.build import build
from zoo.data.coders import load_coder
from zoo.kinds import TASK, Metric, Row
from zoo.run.folder import require, run_in
from zoo.run.spec import RunSpec
from zoo.storage.selection import load_weights, weights_folder
from zoo.tasks.answering import Progress, answers
from zoo.tasks.task import Refusal, Task
from zoo.training.randomness import untouched


class TrainedRun:
    """A run's trained model on a device, and what its task can do with it."""

    def __init__(
        self, folder: str | Path, *overrides: str, checkpoint: str | int = "result", device: str = "auto"
    ) -> None:
        """checkpoint is result (the average if there is one, else the best), best, last, average or a step.

        overrides may change how is decoded (`generation.`) and what data is read (`task.`), not the model.
        device auto is a GPU where there is one, unless the spec trains on the CPU.
        Raises: RunError where the folder holds no such run, or a file of it is damaged; SpecError.
        """
        if isinstance(folder, RunSpec):
            raise ValueError("a trained run is a folder, such as zoo.train(run) gives back, not its spec")
        self.folder = Path(folder)
        self.run = run_in(self.folder, *overrides)
        require(self.run, "task", "generation", why="use its model")
        for text in overrides:
            if not text.startswith(("generation.", "generation=", "task.")):
                message = f"override '{text}': the model is trained; only generation and task may change"
                raise SpecError([Problem("", message)])
        bare: Task = TASK.build(self.run.task, model=self.run.model, coders={})  # type: ignore[arg-type]
        coders = {name: load_coder(self.folder, name) for name in bare.coder_names}
        self.task: Task = TASK.build(self.run.task, model=self.run.model, coders=coders)  # type: ignore[arg-type]
        self.task.check_coders(self.folder)
        self.checkpoint = weights_folder(self.folder, checkpoint).name
        wants_cpu = self.run.training is not None and self.run.training.accelerator == "cpu"
        self.device = _device("cpu" if device == "auto" and wants_cpu else device)
        with untouched():
            self.model: nn.Module = build(self.run.model)
        self.model.load_state_dict(load_weights(self.folder, checkpoint))
        self.model.to(self.device).eval()

    def answers(
        self, rows: Iterable[Row | Refusal], *, progress: Progress | None = None, metric: Metric | None = None
    ) -> Iterator[Any]:
        """For each row, in order, what the task answers; see zoo.tasks.answering.

        A row that the model cannot take gives a Refusal, which says why.
        """
        with torch.no_grad():
            yield from answers(
                self.task, self.model, rows, decoding=self.run.generation, progress=progress, metric=metric
            )

    def answers_to_lines(
        self, lines: Iterable[str | Refusal], *, progress: Progress | None = None
    ) -> Iterator[Any]:
        """The same for lines of text, of a task that reads text first of all."""
        name = self.text_field
        rows = (line if isinstance(line, Refusal) else {name: line} for line in lines)
        return self.answers(rows, progress=progress)

    @property
    def text_field(self) -> str:
        """The field of a row that a line of text stands for. Raises: SpecError for a task that reads no text."""
        name: str = self.run.task.reads[0]  # type: ignore[union-attr]
        if name not in ("source", "text"):
            message = f"{self.run.task.type} reads {name}, no lines of text"  # type: ignore[union-attr]
            raise SpecError([Problem("task", message)])
        return name


def generate(
    folder: str | Path,
    lines: Iterable[str],
    *overrides: str,
    checkpoint: str | int = "result",
    device: str = "auto",
) -> list[str]:
    """The best text that a run's trained model writes for each line, "" for a line that it cannot take.

    The rest as for TrainedRun.
    Raises: SpecError for a run that writes no text.
    """
    if isinstance(lines, str | bytes):
        raise ValueError("lines are several: write generate(folder, ['...']), also for one line of text")
    trained = TrainedRun(folder, *overrides, checkpoint=checkpoint, device=device)
    require_writing(trained)
    return [
        "" if isinstance(answer, Refusal) else answer[0].text for answer in trained.answers_to_lines(lines)
    ]


def require_writing(trained: TrainedRun) -> None:
    """Raises: SpecError for a run whose task writes no text, or that does not say how it is searched for."""
    if not trained.task.writes_text:
        message = f"{trained.run.task.type} writes no text"  # type: ignore[union-attr]
        raise SpecError([Problem("task", message)])
    if trained.run.generation is None:
        raise SpecError(
            [Problem("generation", "missing key; say how text is written, such as generation=greedy")]
        )


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # AssertionError: torch was built without it
        reason = str(error).partition("\n")[0]
        raise SpecError(
            [Problem("device", f"'{name}' cannot be used here ({reason}); choose auto or cpu")]
        ) from None
    return device
