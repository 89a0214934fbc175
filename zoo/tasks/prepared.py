"""A task with its data at hand: what training and evaluation ask for, written once for all tasks."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import nn

from registry import Spec, suggest
from zoo.amounts import amount, cut_text
from zoo.data.arrangement import Arrangement
from zoo.data.bad_lines import BadLines
from zoo.data.cache import Rejected, encoded, is_scored
from zoo.data.coders import load_coder
from zoo.data.collate import length_batches
from zoo.data.store import Example, ExampleStore, temporary_store
from zoo.errors import DataError
from zoo.kinds import CORPUS, TASK, Corpus, Row
from zoo.progress import Report, counted
from zoo.storage.hashing import sha256_of_json
from zoo.tasks.task import Batch, Loss, Task, random_of

CACHE_FOLDER = "examples"
N_LOOKED_AT = 200  # validation rows that a task may look at before training
PREDICTED_TOKENS = 2048
"""Tokens of a batch that answers are searched for, unless a single row has more: a search holds several of each."""
log = logging.getLogger(__name__)


Mode = Literal["max", "min"]
"""Whether more or less of a measure is better."""


class Key(NamedTuple):
    """A batch: which rows of a split, and in which epoch, for they may look otherwise in another."""

    split: str
    epoch: int
    rows: NDArray[np.integer]


@dataclass(frozen=True)
class Measured:
    """What a batch adds to a validation, as plain data: to be sent to another process."""

    nll: float
    n_predicted: int
    sums: Mapping[str, float]
    answers: Any
    """The state of the task's metric over its rows; None without one."""


@dataclass(frozen=True)
class Validation:
    """How good a model is on the validation set."""

    loss: float
    """Mean negative log likelihood of what is predicted, in nats, without label smoothing."""
    score: float | None
    """The task's own measure, such as 27.3 BLEU; None where it was not asked for."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Everything measured, by the name it is logged under."""
    is_error: bool = False
    """Whether the score counts errors: the lower, the better."""

    @property
    def merit(self) -> float | None:
        """The score as checkpoints are compared by it: the higher, the better."""
        return self.score if self.score is None or not self.is_error else -self.score


class Prepared(Protocol):
    """What training asks of a task."""

    fingerprint: str
    """Changes with the data or the coders: a run is not resumed on others."""
    size_keys: Sequence[str]
    """The keys of a run's spec that bound a batch's size."""
    score_name: str
    """What the score of a validation is called, such as BLEU."""

    def mode_of(self, measure: str) -> Mode:
        """Whether more or less of a measure of a validation is better; `score` is the one that chooses."""
        ...

    def epoch(self, number: int) -> Sequence[Any]:
        """The keys of an epoch's batches, in order: a pure function of the number, the first being 0."""
        ...

    def batch(self, key: Any) -> Batch:
        """The batch of a key, on the CPU."""
        ...

    def halves(self, batch: Batch) -> Sequence[Batch]:
        """Two batches on the CPU with half of its rows each; only itself when it has one row."""
        ...

    def rows(self, split: str) -> Iterator[Row]:
        """The rows of a split that give examples, in their order, read as they are asked for."""
        ...

    def example(self) -> str:
        """The first example that is learnt from, on a line, for the user to see that it is the right one."""
        ...

    def start(self, model: nn.Module) -> None:
        """Called once in a run, before its first step, on the first process: sets weights of a new model."""
        ...

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """The loss of a training batch."""
        ...

    def parts(self, split: str) -> Sequence[Any]:
        """The keys of the batches that a split is measured in."""
        ...

    def part(self, key: Any) -> Batch:
        """The batch of such a key, on the CPU."""
        ...

    def measure(self, model: nn.Module, batch: Batch, *, decoding: Spec | None) -> Measured:
        """Measures a model in evaluation mode on a batch of `part`, moved to its device."""
        ...

    def predict(self, model: nn.Module, batch: Batch, *, decoding: Spec | None) -> Sequence[Any]:
        """The answer for each row of a batch."""
        ...

    def written(self, answer: Any) -> dict[str, Any]:
        """An answer as plain data."""
        ...

    def validation(self, measured: Iterable[Measured], *, is_report: bool = False) -> Validation:
        """What all parts of a split, measured, say together, in whatever order; a report has all scores."""
        ...


class PreparedTask:
    """A task of the registry with its data: Prepared.

    Everything about a batch is a pure function of (seed, epoch, rows).
    """

    def __init__(
        self,
        task: Task,
        corpus: Corpus,
        splits: Mapping[str, ExampleStore],
        *,
        fingerprint: str,
        tokens_per_batch: int,
        rows_per_batch: int | None,
        seed: int,
    ) -> None:
        self.task = task
        self.fingerprint = fingerprint
        self.size_keys: Sequence[str] = task.size_keys
        metric = task.metric()
        self.score_name = "loss" if metric is None else metric.titles[metric.score]
        self._corpus = corpus
        self._splits = splits
        self._seed = seed
        self._budget: dict[str, Any] = {
            "tokens_per_batch": tokens_per_batch,
            "rows_per_batch": rows_per_batch,
        }
        self._arrangements = {
            "train": task.arranged(splits["train"], is_training=True, seed=seed, **self._budget)
        }

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """By split, how many rows were left out for which reason; a split without any is empty."""
        return {split: dict(store.counts) for split, store in self._splits.items()}

    def mode_of(self, measure: str) -> Mode:
        metric = self.task.metric()
        if metric is None:
            return "min"  # what follows from the loss counts errors
        name = metric.score if measure == "score" else measure
        return "max" if name in metric.titles and name not in metric.lower_is_better else "min"

    def epoch(self, number: int) -> Sequence[Key]:
        return [Key("train", number, rows) for rows in self._arrangements["train"].epoch(number)]

    def batch(self, key: Key) -> Batch:
        return self._batch(key, is_training=True)

    def halves(self, batch: Batch) -> Sequence[Batch]:
        key: Key = batch.key
        middle = len(key.rows) // 2
        if not middle:
            return [batch]
        keys = [key._replace(rows=rows) for rows in (key.rows[:middle], key.rows[middle:])]
        return [self._batch(half, is_training=key.split == "train") for half in keys]

    def rows(self, split: str) -> Iterator[Row]:
        """The rows of a split that give examples, in their order: mappings of the fields that the corpus says.

        They are read from the files as they are asked for, and those left out are not among them: row i is what example
        i was made of. Raises: DataError for a split that is not there.
        """
        if split not in self._splits:
            raise DataError(f"the data has no split '{split}'; {suggest(split, self._splits, listed=True)}")
        return (
            row
            for row in self._corpus.rows(split, bad_lines=BadLines("skip"))
            if not isinstance(self.task.encode([row], is_scored=is_scored(split))[0], Rejected)
        )

    def example(self) -> str:
        return self.task.shown(next(self.rows("train")))

    def start(self, model: nn.Module) -> None:
        self.task.start(model)

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        return self.task.loss(model, batch, is_training=True)

    def parts(self, split: str) -> Sequence[Key]:
        return [Key(split, 0, rows) for rows in self._arrangement(split).epoch(0)]

    def part(self, key: Key) -> Batch:
        return self._batch(key, is_training=False)

    def measure(self, model: nn.Module, batch: Batch, *, decoding: Spec | None) -> Measured:
        loss = self.task.loss(model, batch, is_training=False)
        metric, key = self.task.metric(), batch.key
        n_scored = self.task.n_scored if key.split == "dev" else None
        if metric is not None:
            device = next(model.parameters()).device
            wanted = [
                example
                for example, row in zip(batch.examples, key.rows, strict=True)
                if n_scored is None or row < n_scored
            ]
            slices = list(_slices(self.task, wanted))
            if len(wanted) == len(batch.examples) and len(slices) == 1:
                metric.update(self.task.predict(model, batch, decoding=decoding), batch.examples)
            else:
                for examples in slices:
                    some = self.task.collate(examples).to(device)
                    metric.update(self.task.predict(model, some, decoding=decoding), examples)
        answers = None if metric is None else metric.state()
        return Measured(float(loss.nll), loss.n_predicted, loss.sums, answers)

    def predict(self, model: nn.Module, batch: Batch, *, decoding: Spec | None) -> Sequence[Any]:
        return self.task.predict(model, batch, decoding=decoding)

    def written(self, answer: Any) -> dict[str, Any]:
        return self.task.written(answer)

    def validation(self, measured: Iterable[Measured], *, is_report: bool = False) -> Validation:
        parts = list(measured)
        found, metric = _by_loss(self.task, parts), self.task.metric()
        if metric is None:
            return found
        for part in parts:
            metric.merge(part.answers)
        if not metric.n_rows:
            return replace(found, score=None)
        names = dict.fromkeys([metric.score, *metric.report] if is_report else [metric.score])
        values = metric.scores(list(names)).values
        metrics = {**found.metrics, **values}
        return Validation(found.loss, values[metric.score], metrics, is_error=metric.is_error)

    def _arrangement(self, split: str) -> Arrangement:
        if split not in self._arrangements:
            self._arrangements[split] = self.task.arranged(
                self._splits[split], is_training=False, seed=0, **self._budget
            )
        return self._arrangements[split]

    def _batch(self, key: Key, *, is_training: bool) -> Batch:
        task, arrangement = self.task, self._arrangement(key.split)
        examples: list[Example] = [arrangement.example(int(number)) for number in key.rows]
        if task.varies:
            seed = self._seed if is_training else 0
            examples = [
                task.vary(example, random_of(seed, key.epoch, int(row)), is_training=is_training)
                for example, row in zip(examples, key.rows, strict=True)
            ]
        batch = task.collate(examples)
        batch.key = key
        if not is_training:
            batch.examples = examples
        return batch


def prepare(
    spec: Spec,
    *,
    model: Spec,
    folder: Path,
    tokens_per_batch: int,
    rows_per_batch: int | None = None,
    seed: int,
    is_resumed: bool,
    report: Report | None = None,
) -> PreparedTask:
    """Reads and checks a task's data, learns its coders (or loads those in the run's folder), encodes every split.

    A resumed run must find its coders. report is told what is going on, and how far it is.
    Raises: DataError for bad data, or where the score needs what is not installed; RunError for coders that are
        damaged, missing or not of the spec.
    """
    task: Task = TASK.build(spec, model=model, coders={})
    task.metric()  # at once: what is missing must not show after hours of training
    corpus: Corpus = CORPUS.build(task.data)
    files = task.files(folder, is_resumed=is_resumed)
    names = task.coder_names
    n_rows: dict[str, int] = {}  # of each split, where they were counted
    if is_resumed or (names and all((folder / f"{name}.json").exists() for name in names)):
        coders = {name: load_coder(folder, name) for name in names}
    else:
        given = {name: load_coder(folder, name) for name in names if (folder / f"{name}.json").exists()}
        task = TASK.build(spec, model=model, coders=given)
        log.info("checking the data")
        n_rows = _check(corpus, task, report)
        learnt = task.learn(
            lambda: corpus.rows("train", bad_lines=BadLines(task.bad_lines)),
            n_rows=n_rows["train"],
            report=report,
        )
        coders = {**learnt, **given}
        for name, coder in coders.items():
            coder.save(folder, name)
    task = TASK.build(spec, model=model, coders=coders)
    task.check_coders(folder)
    splits = encode(task, corpus, folder, n_rows=n_rows, report=report)
    task.look_at(islice(corpus.rows("dev", bad_lines=BadLines("skip")), N_LOOKED_AT))
    return PreparedTask(
        task,
        corpus,
        splits,
        fingerprint=_fingerprint(splits, files),
        tokens_per_batch=tokens_per_batch,
        rows_per_batch=rows_per_batch,
        seed=seed,
    )


def encode(
    task: Task, corpus: Corpus, folder: Path, *, n_rows: Mapping[str, int], report: Report | None
) -> dict[str, ExampleStore]:
    """The examples of every split, from the cache or into it, and a warning of what was left out or cut."""
    cache = folder / CACHE_FOLDER if task.cache is None else Path(task.cache).expanduser()
    splits = {
        split: encoded(
            corpus,
            split,
            task,
            cache,
            bad_lines=task.bad_lines,
            report=report,
            n_rows=n_rows.get(split),
            is_own=task.cache is None,
        )
        for split in corpus.splits()
    }
    for split, store in splits.items():
        for reason, count in sorted(store.counts.items()):
            log.warning("%s: %s left out: %s", corpus.where(split), amount(count, "row"), reason)
        if n_cut := int((task.cuts(store) > 0).sum()):
            log.warning("%s: %s", corpus.where(split), cut_text(n_cut, len(store), task.cut_to))
    return splits


def measured_alone(
    task: Task, model: nn.Module, rows: Sequence[Row], *, report: Report | None = None
) -> tuple[Validation, Counter[str]]:
    """What the loss says of some rows, by one process, and how many give no example for which reason.

    They are dealt out to batches as those of a validation are, from a store that lies on disk meanwhile.
    Raises: DataError where none gives one.
    """
    found = task.encode(rows, is_scored=True)
    examples = [each for each in found if not isinstance(each, Rejected)]
    left_out = Counter(each.reason for each in found if isinstance(each, Rejected))
    if not examples:
        raise DataError(f"no row can be measured; left out: {dict(left_out)}")
    device = next(model.parameters()).device
    loss: list[Measured] = []
    with temporary_store(examples) as store:
        tokens = max(PREDICTED_TOKENS, int(task.lengths(store).max()))
        arrangement = task.arranged(
            store, is_training=False, tokens_per_batch=tokens, rows_per_batch=None, seed=0
        )
        for number, batch in enumerate(arrangement.epoch(0)):
            if report is not None:
                report("measuring, batches", number, None)
            some = [
                task.vary(arrangement.example(int(i)), random_of(0, 0, int(i)), is_training=False)
                for i in batch
            ]
            part = task.loss(model, task.collate(some).to(device), is_training=False)
            loss.append(Measured(float(part.nll), part.n_predicted, part.sums, None))
    return _by_loss(task, loss), left_out


def _by_loss(task: Task, parts: Sequence[Measured]) -> Validation:
    # Sums rounded once are the same in any order, so that any number of processes gives the same.
    mean = math.fsum(part.nll for part in parts) / sum(part.n_predicted for part in parts)
    names = {name for part in parts for name in part.sums}
    sums = {name: math.fsum(part.sums.get(name, 0.0) for part in parts) for name in names}
    return Validation(mean, mean, task.derived(mean, sums), is_error=True)


def _check(corpus: Corpus, task: Task, report: Report | None) -> dict[str, int]:
    """Reads every split once, so that what is wrong is said before a tokenizer is trained for minutes.

    Gives the number of rows of each.
    """
    n_rows = {}
    for split in reversed(corpus.splits()):
        bad_lines = BadLines(task.bad_lines)
        rows = corpus.rows(split, bad_lines=bad_lines)
        n_rows[split] = sum(1 for _ in counted(rows, report, f"reading {split}"))
        if not n_rows[split]:
            raise DataError(f"{corpus.where(split)}: no row is left; left out: {dict(bad_lines.counts)}")
    return n_rows


def _fingerprint(splits: Mapping[str, ExampleStore], files: Mapping[str, str]) -> str:
    names = {split: store.folder.name for split, store in splits.items()}
    return sha256_of_json([names, dict(files)])


def _slices(task: Task, examples: Sequence[Example]) -> Iterable[list[Example]]:
    """Examples in batches that a search can hold."""
    return ([examples[i] for i in batch] for batch in _batches(task, examples))


def _batches(task: Task, examples: Sequence[Example]) -> list[list[int]]:
    return length_batches([max(1, task.length(example)) for example in examples], PREDICTED_TOKENS)
