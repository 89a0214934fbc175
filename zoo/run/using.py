"""A trained or imported model in use: what its task can do with it, and answers to whatever it is given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from registry import Problem, Spec, SpecError
from zoo.assembly.build import build
from zoo.data.coder import Coder
from zoo.data.coders import load_coder
from zoo.data.tokenizer import Tokenizer
from zoo.data.wav import read_wav
from zoo.errors import RunError
from zoo.interop.model_folder import WEIGHTS_FILE, load_model
from zoo.kinds import CORPUS, TASK, Metric, Row
from zoo.run.folder import require, run_in
from zoo.run.spec import RunSpec
from zoo.storage.selection import load_weights, weights_folder
from zoo.tasks.answering import Progress, answers
from zoo.tasks.task import Batch, Refusal, Task
from zoo.training.randomness import untouched

TEXT_FIELDS = ("source", "text")
WORDS_FIELDS = ("tokens",)
"""Fields whose value is a list of words, or a text that has spaces between them."""
ARRAY_FIELDS = ("image", "waveform")
GIVEN_FIELDS = ("rate",)
"""Fields that belong to the first one, and are not what is to be found out."""
TOKENIZER_STEM = "tokenizer"


class TrainedRun:
    """A model on a device, trained by a run or imported, its coders, and what its task can do with it."""

    def __init__(
        self, folder: str | Path, *overrides: str, checkpoint: str | int = "result", device: str = "auto"
    ) -> None:
        """folder is a run's, or what `zoo import` wrote.

        Of a run checkpoint is result (the average if there is one, else the best), best, last, average or a step.
        overrides may change how is decoded (`generation.`) and what data is read (`task.`), not the model.
        device auto is a GPU where there is one, unless the spec trains on the CPU.
        Raises: RunError where the folder holds no such run, or a file of it is damaged; SpecError.
        """
        if isinstance(folder, RunSpec):
            raise ValueError("a trained run is a folder, such as zoo.train(run) gives back, not its spec")
        self.folder = Path(folder)
        self.run = run_in(self.folder, *overrides)
        for text in overrides:
            if not text.startswith(("generation.", "generation=", "task.")):
                message = f"override '{text}': the model is trained; only generation and task may change"
                raise SpecError([Problem("", message)])
        self.coders: dict[str, Coder] = {}
        self._task: Task | None = None
        if self.run.task is not None:
            bare: Task = TASK.build(self.run.task, model=self.run.model, coders={})
            self.coders = {name: load_coder(self.folder, name) for name in bare.coder_names}
            self._task = TASK.build(self.run.task, model=self.run.model, coders=self.coders)
            self._task.check_coders(self.folder)
        elif (self.folder / f"{TOKENIZER_STEM}.json").is_file():
            self.coders = {TOKENIZER_STEM: load_coder(self.folder, TOKENIZER_STEM)}
        is_imported = (self.folder / WEIGHTS_FILE).is_file()
        if is_imported and checkpoint != "result":
            raise RunError(f"{self.folder}: an imported model has one checkpoint; leave out '{checkpoint}'")
        self.checkpoint = WEIGHTS_FILE if is_imported else weights_folder(self.folder, checkpoint).name
        wants_cpu = self.run.training is not None and self.run.training.accelerator == "cpu"
        self.device = _device("cpu" if device == "auto" and wants_cpu else device)
        if is_imported:
            self.model: nn.Module = load_model(self.folder)[1]
        else:
            with untouched():
                self.model = build(self.run.model)
            self.model.load_state_dict(load_weights(self.folder, checkpoint))
        self.model.to(self.device).eval()

    @property
    def spec(self) -> RunSpec:
        """Its spec."""
        return self.run

    @property
    def task(self) -> Task:
        """What it can do. Raises: SpecError for a folder without the sections that are needed for that."""
        require(self.run, "task", "generation", why="use its model")
        assert self._task is not None
        return self._task

    @property
    def tokenizers(self) -> dict[str, Tokenizer]:
        """Its tokenizers by the stems of their files: one, or the source's and the target's."""
        return {name: coder for name, coder in self.coders.items() if isinstance(coder, Tokenizer)}

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of what it reads. Raises: SpecError where it has none."""
        for tokenizer in self.tokenizers.values():
            return tokenizer
        raise SpecError([Problem("task", f"{self.folder} holds no tokenizer")])

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

    def vectors(self, rows: Iterable[Row | Refusal]) -> Iterator[list[float] | Refusal]:
        """For each row, in order, the mean of the vectors [D] of what is real in it; for a bad one a Refusal.

        Of an encoder-decoder they are the encoder's vectors, of every other model the last layer's.
        """
        embedder: Any = _Embedding(self.task)
        with torch.no_grad():
            yield from answers(embedder, self.model, rows, decoding=None)

    def row_of_line(self, line: str) -> Row | Refusal:
        """The row that a line stands for: a text, or the path of an image or a wav file, where such is read.

        Raises: SpecError for a task that reads none of these.
        """
        if self.reads[0] == "image":
            return self._row_of_image(Path(line))
        if self.reads[0] == "waveform":
            return _row_of_wav(Path(line))
        return {self.text_field: line}

    def _row_of_image(self, path: Path) -> Row | Refusal:
        """An image as the task's corpus reads one. Raises: SpecError for a corpus that reads no image files."""
        corpus: Any = CORPUS.build(self.task.data)
        if not hasattr(corpus, "image"):
            message = f"{self.task.data.type} reads no image files; say task.data=... of type image_folder"
            raise SpecError([Problem("task.data", message)])
        found = corpus.image(path)
        return Refusal(f"{path}: {found}") if isinstance(found, str) else {"image": found}

    @property
    def reads(self) -> tuple[str, ...]:
        """The fields of a row of its task. Raises: SpecError where it has none."""
        require(self.run, "task", why="use its model")
        reads: tuple[str, ...] = self.run.task.reads  # type: ignore[union-attr]
        return reads

    @property
    def text_field(self) -> str:
        """The field of a row that a line of text stands for. Raises: SpecError for a task that reads no text."""
        name = self.reads[0]
        if name not in (*TEXT_FIELDS, *WORDS_FIELDS):
            message = f"{self.run.task.type} reads {name}, no lines of text"  # type: ignore[union-attr]
            raise SpecError([Problem("task", message)])
        return name


def open(
    folder: str | Path, *overrides: str, checkpoint: str | int = "result", device: str = "auto"
) -> TrainedRun:
    """What a folder holds, a run's or an imported checkpoint's: model, tokenizers, task, spec; see TrainedRun."""
    return TrainedRun(folder, *overrides, checkpoint=checkpoint, device=device)


def predict(
    folder: str | Path,
    rows: Iterable[str | Row],
    *overrides: str,
    embed: bool = False,
    checkpoint: str | int = "result",
    device: str = "auto",
) -> list[dict[str, Any]]:
    """What a model's task answers to each row, as plain data; `{"refused": why}` for a row that it cannot take.

    A row is a mapping of the fields that the task reads, without what it is to find out, or a line: a text, or the path
    of an image or a wav file. embed asks
    for `{"vector": [...]}` instead. The rest as for TrainedRun.
    """
    if isinstance(rows, str | bytes | Mapping):
        raise ValueError("rows are several: write predict(folder, ['...']), also for one row")
    return list(
        predictions(open(folder, *overrides, checkpoint=checkpoint, device=device), rows, embed=embed)
    )


def predictions(
    trained: TrainedRun, rows: Iterable[str | Row | Refusal], *, embed: bool = False
) -> Iterator[dict[str, Any]]:
    """The same with a model at hand, one by one."""
    asked = (_row(trained, row) for row in rows)
    for answer in trained.vectors(asked) if embed else trained.answers(asked):
        if isinstance(answer, Refusal):
            yield {"refused": answer.why}
        else:
            yield {"vector": answer} if embed else trained.task.written(answer)


def _row(trained: TrainedRun, row: Any) -> Row | Refusal:
    """A row with what is asked about only, or why it is none."""
    if isinstance(row, Refusal):
        return row
    if isinstance(row, str):
        return trained.row_of_line(row)
    if not isinstance(row, Mapping):
        return Refusal("no line of text and no object with fields")
    field, *found_out = trained.reads
    if field not in row:
        return Refusal(f"it has no field '{field}'")
    if field in TEXT_FIELDS and not isinstance(row[field], str):
        return Refusal(f"its field '{field}' is no text")
    if field in ARRAY_FIELDS and not isinstance(row[field], np.ndarray):
        if not isinstance(row[field], str):
            return Refusal(f"its field '{field}' is neither an array nor the path of a file")
        return trained.row_of_line(row[field])
    return {name: value for name, value in row.items() if name not in found_out or name in GIVEN_FIELDS}


def _row_of_wav(path: Path) -> Row | Refusal:
    try:
        waveform, rate = read_wav(path.read_bytes())
    except OSError as error:
        return Refusal(f"{path}: cannot be read: {error.strerror}")
    except ValueError as error:
        return Refusal(f"{path}: no wav file: {error}")
    return {"waveform": waveform, "rate": rate, "file": str(path)}


class _Embedding:
    """A task that answers with vectors, of rows as they are."""

    varies = False

    def __init__(self, task: Task) -> None:
        self._task = task

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def predict(self, model: nn.Module, batch: Batch, *, decoding: Spec | None) -> list[list[float]]:
        """The mean vector of each row [D]."""
        vectors, mask = self._task.hidden(model, batch)  # [B, S, D], [B, S]
        if mask is None:
            return vectors.float().mean(1).tolist()
        weights = mask.unsqueeze(-1).float()
        means = (vectors.float() * weights).sum(1) / weights.sum(1)
        return means.tolist()


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
