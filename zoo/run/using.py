"""A trained or imported model in use: what its task can do with it, and answers to whatever it is given."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from registry import Problem, Spec, SpecError, inner, parse, suggest
from zoo.assembly.build import build
from zoo.data.coder import Coder
from zoo.data.coders import load_coder
from zoo.data.store import Example
from zoo.data.tokenizer import Tokenizer
from zoo.errors import DataError, RunError
from zoo.generation.output import outputs
from zoo.generation.streaming import appended, pieces, rest
from zoo.interop.model_folder import WEIGHTS_FILE, load_model
from zoo.kinds import DECODING, TASK, Metric, Row
from zoo.run.folder import require, run_in
from zoo.run.inputs import LINE_FIELDS, asked_row
from zoo.run.spec import RunSpec
from zoo.storage.files import SPEC_FILE
from zoo.storage.selection import load_weights, weights_folder
from zoo.tasks.answering import CHUNK_ROWS, Cuts, Progress, answers
from zoo.tasks.task import Batch, Refusal, Task
from zoo.training.randomness import untouched

TOKENIZER_STEM = "tokenizer"
CUT = "cut"
"""What is added to an answer to a text of which some tokens were left out, and how many."""
USUAL_LENGTH = 512
"""Most tokens of a text that vectors are of, where neither a task nor the model's positions say fewer."""
FILE_ROWS = 64
"""Rows of files that are read before they are answered."""


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
        self.is_imported = (self.folder / WEIGHTS_FILE).is_file()
        if self.is_imported and checkpoint != "result":
            raise RunError(f"{self.folder}: an imported model has one checkpoint; leave out '{checkpoint}'")
        self.checkpoint = WEIGHTS_FILE if self.is_imported else weights_folder(self.folder, checkpoint).name
        wants_cpu = self.run.training is not None and self.run.training.accelerator == "cpu"
        self.device = device_named("cpu" if device == "auto" and wants_cpu else device)
        if self.is_imported:
            self.model: nn.Module = load_model(self.folder)[1]
        else:
            with untouched():
                self.model = build(self.run.model)
            _load(self.model, load_weights(self.folder, checkpoint), self.folder)
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
    def reader(self) -> Task:
        """What reads rows to give vectors of: the task, or of a model that has none but a tokenizer, as a bare encoder
        has, that of masked tokens, which reads texts as they are."""
        has_none = self.run.task is None and TOKENIZER_STEM in self.coders
        return self._text_reader if has_none else self.task

    @cached_property
    def _text_reader(self) -> Task:
        sizes = [
            size for _, part in inner(self.run.model, "model") if (size := getattr(part, "max_len", None))
        ]
        fields = {"type": "masked_language_model", "data": "none", "tokenizer": self.tokenizer.type}
        spec = parse(TASK.entry(fields["type"]).spec, {**fields, "max_length": min([USUAL_LENGTH, *sizes])})
        task: Task = TASK.build(spec, model=self.run.model, coders=self.coders)
        return task

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
        self,
        rows: Iterable[Row | Refusal],
        *,
        progress: Progress | None = None,
        metric: Metric | None = None,
        cuts: Cuts | None = None,
    ) -> Iterator[Any]:
        """For each row, in order, what the task answers; see zoo.tasks.answering.

        A row that the model cannot take gives a Refusal, which says why.
        """
        with torch.no_grad():
            yield from answers(
                self.task,
                self.model,
                rows,
                decoding=self.run.generation,
                progress=progress,
                metric=metric,
                cuts=cuts,
            )

    def answers_to_lines(
        self, lines: Iterable[str | Refusal], *, progress: Progress | None = None, cuts: Cuts | None = None
    ) -> Iterator[Any]:
        """The same for lines of text, of a task that reads text first of all."""
        name = self.text_field
        rows = (line if isinstance(line, Refusal) else {name: line} for line in lines)
        return self.answers(rows, progress=progress, cuts=cuts)

    @property
    def streams(self) -> bool:
        """Whether `stream` can say what is written as it is written: not what several beams weigh up."""
        return self.run.generation is not None and not self._not_streaming()

    def stream(self, line: str) -> Iterator[str]:
        """What is written for a line, piece by piece as it is written: together, what `answers_to_lines` gives first.

        A piece is whole letters, and comes as soon as no later token can change it.
        Raises: SpecError for a task that writes no text, and a search that cannot say a token before the last;
        DataError for a line that the model cannot take.
        """
        require_writing(self)
        if why := self._not_streaming():
            raise SpecError([Problem("generation", why)])
        return self._streamed(line)

    def _not_streaming(self) -> str:
        """Why what is written cannot be said as it is written; "" if it can."""
        search: Any = self.run.generation
        if not hasattr(DECODING.entry(search.type).builder, "steps"):
            return (
                f"'{search.type}' decides at the end what it has written, so that nothing can be shown before; greedy "
                "and sampling can, such as generation=greedy"
            )
        if type(self.task).searched is Task.searched:
            return f"{self.run.task.type} makes its answers of whole outputs; it cannot show a part"  # type: ignore[union-attr]
        return ""

    def _streamed(self, line: str) -> Iterator[str]:
        (example,) = self.task.read([{self.text_field: line}], self.model)
        if isinstance(example, Refusal):
            raise DataError(example.why)
        assert self.run.generation is not None
        searched = self.task.searched(self.task.collate([example]).to(self.device), self.run.generation)
        assert searched is not None
        steps = searched.search.steps(self.model, searched.source, searched.mask, is_token=searched.is_token)
        ended: list[Any] = []

        def tokens() -> Iterator[int]:
            ended.extend((yield from appended(steps)))

        given = yield from pieces(tokens(), searched.tokenizer)
        if end := rest(outputs(ended[0], searched.tokenizer)[0].text, given):
            yield end

    def vectors(
        self, rows: Iterable[Row | Refusal], *, cuts: Cuts | None = None
    ) -> Iterator[list[float] | Refusal]:
        """For each row, in order, the mean of the vectors [D] of what is real in it; for a bad one a Refusal.

        Of an encoder-decoder they are the encoder's vectors, of every other model the last layer's.
        """
        embedder: Any = _Embedding(self.reader)
        with torch.no_grad():
            yield from answers(embedder, self.model, rows, decoding=None, cuts=cuts)

    @property
    def reads(self) -> tuple[str, ...]:
        """The fields of a row that its task is asked about. Raises: SpecError where it has none."""
        require(self.run, "task", why="use its model")
        asks: tuple[str, ...] = self.run.task.asks  # type: ignore[union-attr]
        return asks

    @property
    def text_field(self) -> str:
        """The field of a row that a line of text stands for. Raises: SpecError for a task that reads no text."""
        name = self.reads[0]
        if name not in LINE_FIELDS:
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
    rows: Iterable[str | Path | Row],
    *overrides: str,
    embed: bool = False,
    checkpoint: str | int = "result",
    device: str = "auto",
) -> list[dict[str, Any]]:
    """What a model's task answers to each row, as plain data; `{"refused": why}` for a row that it cannot take.

    A row is a mapping of the fields that the task reads, without what it is to find out, or a line of text; of a task
    that reads images, sounds or series the path of a file, alone or in the field, or an array. embed asks for
    `{"vector": [...]}` instead. Of a text that is too long for the task, and so cut, `cut` says how many of its tokens
    were left out. The rest as for TrainedRun.
    """
    if isinstance(rows, str | bytes | Mapping):
        raise ValueError("rows are several: write predict(folder, ['...']), also for one row")
    return list(
        predictions(open(folder, *overrides, checkpoint=checkpoint, device=device), rows, embed=embed)
    )


def predictions(
    trained: TrainedRun, rows: Iterable[str | Path | Row | Refusal], *, embed: bool = False
) -> Iterator[dict[str, Any]]:
    """The same with a model at hand, one by one."""
    remaining, task = iter(rows), trained.reader if embed else trained.task
    asks = ("text",) if trained.run.task is None else trained.reads
    # Files are larger than lines: few of them at a time.
    while some := list(islice(remaining, FILE_ROWS if task.file_suffixes else CHUNK_ROWS)):
        asked = [asked_row(task, asks, row) for row in some]
        cuts: deque[int] = deque()
        found = (trained.vectors if embed else trained.answers)(asked, cuts=cuts.extend)
        for answer in found:
            n_cut = cuts.popleft()
            if isinstance(answer, Refusal):
                yield {"refused": answer.why}
            else:
                written = {"vector": answer} if embed else task.written(answer)
                yield {**written, CUT: n_cut} if n_cut else written


class _Embedding:
    """A task that answers with vectors, of rows as they are."""

    varies = True

    def __init__(self, task: Task) -> None:
        self._task = task

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def vary(self, example: Example, _: np.random.Generator, *, is_training: bool) -> Example:
        """The example unvaried."""
        return self._task.unvaried(example)

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


def _load(model: nn.Module, weights: Mapping[str, Tensor], folder: Path) -> None:
    """Raises: RunError where the weights are not those of the run's spec, which was changed after training."""
    shapes = {name: list(each.shape) for name, each in model.state_dict().items()}
    held = {name: list(each.shape) for name, each in weights.items()}
    if shapes != held:
        name = next(name for name in {**shapes, **held} if shapes.get(name) != held.get(name))
        there, wanted = (f"has {each[name]}" if name in each else "has none" for each in (held, shapes))
        raise RunError(
            f"{folder / SPEC_FILE}: this is not the model that was trained here: of {name} the checkpoint {there} "
            f"and the spec {wanted}; the spec of a run is not to be changed, or only back"
        )
    model.load_state_dict(weights)


def device_named(name: str) -> torch.device:
    """A device by its name, `auto` being a GPU where there is one. Raises: SpecError for one that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # AssertionError: torch was built without it
        reason = str(error).partition("\n")[0]
        if name.partition(":")[0] not in ("cpu", "cuda", "mps", "xpu"):
            reason = suggest(name, ("auto", "cpu", "cuda"), listed=True)
            raise SpecError([Problem("device", f"no device is called '{name}'; {reason}")]) from None
        raise SpecError(
            [Problem("device", f"'{name}' cannot be used here ({reason}); choose auto or cpu")]
        ) from None
    return device
