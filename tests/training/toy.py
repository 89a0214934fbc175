"""A task of random sentences for the tests of training: no files, a few milliseconds a step.

Loaded as a plugin, by tests and by the scripts they kill.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import nn

from registry import Spec, parse
from zoo.data.arrangement import Arrangement
from zoo.data.bad_lines import BadLines, Policy
from zoo.data.coder import Coder
from zoo.data.collate import padded
from zoo.data.store import Example, ExampleStore
from zoo.kinds import CORPUS, DECODING, METRIC, MODEL, TASK, CorpusSpec, Metric, MetricSpec, Row, Scores
from zoo.progress import Report
from zoo.tasks.prepared import PreparedTask, prepare
from zoo.tasks.task import Batch, Loss, Rows, Task, TaskSpec, total
from zoo.training.spec import TrainingSpec

VOCAB = 23
SCORE = "bleu"
N_BATCHES = 7
"""Batches of an epoch: no multiple of any step count in the tests."""
DEV = 10**6 - 2
"""Number of the first batch of the validation set."""


class ToyCorpusSpec(CorpusSpec):
    fields: ClassVar = ("number",)
    type: Literal["toy"] = "toy"


@CORPUS.register("toy", spec=ToyCorpusSpec, examples=[{}])
class ToyCorpus:
    """A row a split, for the sentences are made up batch by batch."""

    def splits(self) -> list[str]:
        return ["train", "dev"]

    def where(self, split: str) -> str:
        return f"toy, {split}"

    def rows(self, split: str, *, bad_lines: BadLines) -> Iterator[Row]:
        yield {"number": 0}

    def fingerprint(self, split: str) -> str:
        return "toy"


class ToyMetricSpec(MetricSpec):
    type: Literal["toy"] = "toy"
    report: tuple[str, ...] = ("bleu",)
    score: str = "bleu"


@METRIC.register("toy", spec=ToyMetricSpec, examples=[{}])
class ToyMetric(Metric):
    """How probable the right words are, in percent."""

    titles: ClassVar = {"bleu": "BLEU"}

    def __init__(self, *, report: tuple[str, ...], score: str) -> None:
        super().__init__(report=report, score=score)
        self.values: list[tuple[float, int]] = []

    @property
    def n_rows(self) -> int:
        return len(self.values)

    def update(self, answers: Sequence[Any], examples: Sequence[Mapping[str, Any]]) -> None:
        self.values += answers

    def state(self) -> Any:
        return self.values

    def merge(self, state: Any) -> None:
        self.values += state

    def scores(self, names: Sequence[str]) -> Scores:
        mean = math.fsum(nll for nll, _ in self.values) / sum(n for _, n in self.values)
        return Scores({"bleu": 100 * math.exp(-mean)}, self.n_rows, self.titles)


class ToySpec(TaskSpec):
    reads: ClassVar = ("number",)
    type: Literal["toy"] = "toy"
    data: Annotated[Spec, CORPUS] = ToyCorpusSpec()
    n_pairs: int = Field(3, ge=1, le=1000)
    """Sentences of a batch."""
    bad_from: int = Field(10**9, ge=0, le=10**9)
    """Batches from this one on, counted over all epochs, have a loss that is not a number."""
    n_bad: int = Field(10**9, ge=0, le=10**9)
    """How many of them."""
    draws: bool = True
    """Whether validating draws random numbers."""


@TASK.register("toy", spec=ToySpec, examples=[{}])
class Toy(Task):
    """Copies sentences."""

    size_keys: ClassVar = ("task.n_pairs",)
    coder_names: ClassVar = ()

    def __init__(
        self,
        *,
        model: Spec,
        coders: Mapping[str, Coder],
        data: Spec,
        bad_lines: Policy,
        cache: str | None,
        n_pairs: int,
        bad_from: int,
        n_bad: int,
        draws: bool,
    ) -> None:
        super().__init__(model=model, coders=coders, data=data, bad_lines=bad_lines, cache=cache)
        self.n_pairs, self.draws = n_pairs, draws
        self.bad = range(bad_from, bad_from + n_bad)

    def learn(self, rows: Rows, *, n_rows: int, report: Report | None) -> dict[str, Coder]:
        return {}

    @property
    def recipe(self) -> str:
        return f"toy {self.n_pairs}"

    def encode(self, rows: Sequence[Row], *, is_scored: bool) -> list[Example]:
        return [{"number": np.array([row["number"]])} for row in rows]

    def read(self, rows: Sequence[Row], model: nn.Module) -> list[Example]:
        return self.encode(rows, is_scored=False)

    def lengths(self, store: ExampleStore) -> Any:
        raise AssertionError("arranged otherwise")

    def length(self, example: Example) -> int:
        return len(example["words"])

    def arranged(
        self,
        store: ExampleStore,
        *,
        is_training: bool,
        tokens_per_batch: int,
        rows_per_batch: int | None,
        seed: int,
    ) -> Arrangement:
        return ToyArrangement(self, seed, is_training=is_training)

    def collate(self, examples: Sequence[Example]) -> Batch:
        source, _ = padded([example["words"] for example in examples])
        bad = torch.tensor([bool(example["is_bad"][0]) for example in examples])
        (B, S), n = source.shape, int((source != 0).sum())
        size = f"{B} × {S} source and {B} × {S} target tokens"
        return Batch({"source": source, "bad": bad}, size=size, n_processed=2 * n)

    def loss(self, model: nn.Module, batch: Batch, *, is_training: bool) -> Loss:
        if not is_training:
            return self._loss(model, batch, 0.0)
        loss = self._loss(model, batch, 0.1)
        bad = loss.loss * float("nan") if bool(batch["bad"].any()) else loss.loss
        return Loss(bad, loss.nll, loss.n_predicted, loss.n_processed)

    def _loss(self, model: nn.Module, batch: Batch, label_smoothing: float) -> Loss:
        source = batch["source"]
        hidden = model.decode(source, model.encode(source))  # type: ignore[operator]
        real = source != 0
        sums = model.head.loss(hidden[real], source[real], label_smoothing=label_smoothing)  # type: ignore[operator, union-attr]
        return total(sums, model, batch)

    def predict(self, model: nn.Module, batch: Batch, *, decoding: Spec | None) -> list[Any]:
        if self.draws:
            torch.rand(5)
        loss = self._loss(model, batch, 0.0)
        share = float(loss.nll) / loss.n_predicted
        return [(share * int(n), int(n)) for n in (batch["source"] != 0).sum(1)]

    def written(self, answer: Any) -> dict[str, Any]:
        return {"nll": answer[0]}

    def metric(self) -> Metric:
        metric: Metric = METRIC.build(ToyMetricSpec(report=(SCORE,), score=SCORE))
        return metric

    def shown(self, row: Row) -> str:
        return "a sentence → ecnetnes a"


class ToyArrangement:
    """Sentence i of batch b has the number b · n_pairs + i."""

    def __init__(self, task: Toy, seed: int, *, is_training: bool) -> None:
        self.task, self.seed, self.is_training = task, seed, is_training

    def epoch(self, number: int) -> list[np.ndarray[Any, Any]]:
        n = self.task.n_pairs
        if not self.is_training:
            return [np.arange(b * n, (b + 1) * n) for b in (DEV, DEV + 1)]
        order = torch.randperm(N_BATCHES, generator=torch.Generator().manual_seed(1000 * self.seed + number))
        return [np.arange(b * n, (b + 1) * n) for b in (number * N_BATCHES + order).tolist()]

    def example(self, number: int) -> Example:
        batch, row = divmod(number, self.task.n_pairs)
        generator = torch.Generator().manual_seed(batch)
        lengths = torch.randint(1, 9, (self.task.n_pairs,), generator=generator)
        words = torch.randint(4, VOCAB, (self.task.n_pairs, 9), generator=generator)
        words[torch.arange(9)[None] >= lengths[:, None]] = 0  # padding, which the model sees
        is_bad = np.array([batch in self.task.bad])
        return {"words": words[row, : lengths.max()].numpy(), "is_bad": is_bad}


class ToyRun(Spec):
    """Stands for a whole run's spec."""

    model: Annotated[Spec, MODEL]
    """The model."""
    task: Annotated[Spec, TASK]
    """The task."""
    training: TrainingSpec
    """The training."""
    generation: Annotated[Spec, DECODING]
    """The decoding."""


def toy_run(*, task: dict[str, Any] | None = None, dropout: float = 0.3, **training: Any) -> ToyRun:
    """A run whose every step takes milliseconds; dropout is on."""
    layer = {
        "self_attention": {"type": "multi_head", "n_heads": 2},
        "ffn": {"type": "mlp", "d_ff": 12, "activation": "relu"},
        "dropout": dropout,
    }
    model = {
        "type": "encoder_decoder",
        "d_model": 8,
        "source": {"type": "tokens", "vocab_size": VOCAB},
        "target": {"share": "source"},
        "encoder": {"n_layers": 1, "layer": layer},
        "decoder": {"like": "encoder", "cross_attention": {"type": "multi_head", "n_heads": 2}},
        "head": {"type": "language_model", "predicts": "target"},
    }
    defaults: dict[str, Any] = {
        "max_steps": 10,
        "seed": 2,
        "accelerator": "cpu",
        "precision": "fp32",
        "log_every": 2,
        "validate_every": 4,
        "checkpoint_every": 3,
        "keep_checkpoints": 3,
        "schedule": {"type": "noam", "warmup_steps": 5},
    }
    data = {
        "model": model,
        "task": {"type": "toy", **(task or {})},
        "training": {**defaults, **training},
        "generation": "greedy",
    }
    return parse(ToyRun, data)


def toy_prepared(run: ToyRun, folder: Path) -> PreparedTask:
    """The run's task with its data at hand; what it keeps of it lies in the folder."""
    seed = run.training.seed
    return prepare(run.task, model=run.model, folder=folder, tokens_per_batch=1, seed=seed, is_resumed=False)
