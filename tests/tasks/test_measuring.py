"""What is written once for all tasks: batches that vary, their halves, what parts of a validation say together."""

from __future__ import annotations

import hashlib
import itertools
import math
import pickle
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from registry import Spec
from zoo.data import cache
from zoo.data.bad_lines import BadLines
from zoo.data.cache import Rejected
from zoo.data.coder import Coder
from zoo.data.collate import padded
from zoo.data.store import Example, ExampleStore
from zoo.errors import DataError
from zoo.kinds import Metric, Row, Scores
from zoo.tasks import prepared as measuring
from zoo.tasks.answering import answers
from zoo.tasks.prepared import Measured, PreparedTask, Validation, measured_alone
from zoo.tasks.task import Batch, Loss, Refusal, Rows, Task


class NoData(Spec):
    """The tests give the corpus itself."""


class Numbers:
    """A corpus of lists of numbers, of which some are empty."""

    def __init__(self, **sizes: int) -> None:
        draw = np.random.Generator(np.random.PCG64(7))
        self.given = {
            split: [{"numbers": draw.normal(0, 1, int(draw.integers(0, 9))).tolist()} for _ in range(n)]
            for split, n in sizes.items()
        }

    def splits(self) -> list[str]:
        return list(self.given)

    def where(self, split: str) -> str:
        return split

    def rows(self, split: str, *, bad_lines: BadLines) -> Iterator[Row]:
        return iter(self.given[split])

    def fingerprint(self, split: str) -> str:
        return hashlib.sha256(repr(self.given[split]).encode()).hexdigest()


class Model(nn.Module):
    """A guess of each number: a·x."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor(0.3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.a * x


class MeanError(Metric):
    """Mean of |answer - twice the sum of the row|; what is refused is answered by 0."""

    titles: ClassVar = {"error": "Error", "refused": "Refused"}
    lower_is_better: ClassVar = frozenset({"error"})

    def __init__(self) -> None:
        super().__init__(report=["error", "refused"], score="error")
        self.errors: list[float] = []
        self.n_refused = 0

    @property
    def n_rows(self) -> int:
        return len(self.errors)

    def update(self, answers: Sequence[Any], examples: Sequence[Mapping[str, Any]]) -> None:
        for answer, example in zip(answers, examples, strict=True):
            is_refused = isinstance(answer, Refusal)
            self.errors.append(abs((0 if is_refused else answer) - float(example["answer"][0])))
            self.n_refused += is_refused

    def state(self) -> Any:
        return [list(self.errors), self.n_refused]

    def merge(self, state: Any) -> None:
        self.errors += state[0]
        self.n_refused += state[1]

    def scores(self, names: Sequence[str]) -> Scores:
        found = {"error": float(np.mean(sorted(self.errors))), "refused": float(self.n_refused)}
        return Scores({name: found[name] for name in names}, self.n_rows, self.titles)


class Guessing(Task):
    """Learns to guess 2·x for each number x, which carries another noise in each epoch; the answer is the sum."""

    varies: ClassVar = True

    def __init__(
        self,
        *,
        is_scored: bool = True,
        noise: float = 1.0,
        longest: int = 99,
        n_scored: int | None = None,
        coders: Mapping[str, Coder] | None = None,
    ) -> None:
        super().__init__(model=NoData(), coders=coders or {}, data=NoData(), bad_lines="error", cache=None)
        self.is_scored, self.noise, self.longest, self._n_scored = is_scored, noise, longest, n_scored
        self.predicted: list[int] = []

    @property
    def coder_names(self) -> tuple[str, ...]:
        return ()

    def learn(self, rows: Rows, *, n_rows: int, report: Any) -> dict[str, Coder]:
        return {}

    @property
    def recipe(self) -> str:
        return f"guessing {self.longest}"

    def encode(self, rows: Sequence[Row], *, is_scored: bool) -> Sequence[Example | Rejected]:
        return [self._example(row, is_scored=is_scored) for row in rows]

    def _example(self, row: Row, *, is_scored: bool) -> Example | Rejected:
        if len(row["numbers"]) > self.longest:
            return Rejected("over longest", f"{len(row['numbers'])} numbers")
        example = {"numbers": np.array(row["numbers"], np.float32)}
        return {**example, **self.compared(row)} if is_scored else example

    def compared(self, row: Row) -> Example:
        return {"answer": np.array([2 * sum(row["numbers"])], np.float64)}

    def read(self, rows: Sequence[Row], model: nn.Module) -> Sequence[Example | Refusal]:
        return [
            Refusal(each.reason) if isinstance(each := self._example(row, is_scored=True), Rejected) else each
            for row in rows
        ]

    def lengths(self, store: ExampleStore) -> NDArray[np.integer]:
        return store.columns["numbers"].lengths()[:, None]

    def length(self, example: Example) -> int:
        return len(example["numbers"])

    def vary(self, example: Example, random: np.random.Generator, *, is_training: bool) -> Example:
        noise = random.normal(0, self.noise, len(example["numbers"])).astype(np.float32)
        return {**example, "numbers": example["numbers"] + noise, "is_training": np.array([is_training])}

    def collate(self, examples: Sequence[Example]) -> Batch:
        x, mask = padded([example["numbers"] for example in examples])
        n = sum(len(example["numbers"]) for example in examples)
        return Batch({"x": x, "mask": mask}, size=f"{len(x)} × {x.shape[1]} numbers", n_processed=n)

    def loss(self, model: nn.Module, batch: Batch, *, is_training: bool) -> Loss:
        x = batch["x"]
        found = ((model(x) - 2 * x) ** 2).sum()  # padding is 0, and guessed right
        more = 1.0 if is_training else 0.0
        return Loss(
            found + more,
            found.detach(),
            batch.n_processed,
            batch.n_processed,
            {"cubes": float((x.double() ** 3).sum())},
        )

    @property
    def n_scored(self) -> int | None:
        return self._n_scored

    def predict(self, model: nn.Module, batch: Batch, *, decoding: Spec | None) -> list[float]:
        self.predicted.append(len(batch["x"]))
        return [float(row.sum()) for row in model(batch["x"])]

    def written(self, answer: Any) -> dict[str, Any]:
        return {"sum": answer}

    def metric(self) -> Metric | None:
        return MeanError() if self.is_scored else None

    def derived(self, mean_nll: float, sums: Mapping[str, float]) -> dict[str, float]:
        return {"loss": mean_nll, "cubes": sums["cubes"]}

    def shown(self, row: Row) -> str:
        return str(row["numbers"])


def prepared(task: Guessing, folder: Path, *, tokens: int = 31, seed: int = 3) -> PreparedTask:
    """The task with 23 rows to learn from and 19 to validate on."""
    corpus = Numbers(train=23, dev=19, test=5)
    splits = {
        split: cache.encoded(corpus, split, task, folder, bad_lines="error") for split in corpus.splits()
    }
    return PreparedTask(
        task, corpus, splits, fingerprint="", tokens_per_batch=tokens, rows_per_batch=None, seed=seed
    )


def taken(keys: Sequence[Any]) -> list[int]:
    return [int(row) for key in keys for row in key.rows]


@pytest.mark.parametrize("number", [0, 3])
def test_an_epoch_has_every_row_once(tmp_path: Path, number: int) -> None:
    keys = prepared(Guessing(), tmp_path).epoch(number)
    assert sorted(taken(keys)) == list(range(23))
    assert {key.epoch for key in keys} == {number}


def test_a_batch_is_a_pure_function_of_seed_epoch_and_rows(tmp_path: Path) -> None:
    def x(epoch: int, seed: int) -> torch.Tensor:
        data = prepared(Guessing(), tmp_path, seed=seed)
        key = data.epoch(0)[0]._replace(epoch=epoch, rows=np.arange(23))
        data.batch(key._replace(epoch=9))  # what was asked before makes no difference
        return data.batch(key)["x"]

    assert torch.equal(x(1, 3), x(1, 3))
    assert not torch.equal(x(1, 3), x(2, 3))
    assert not torch.equal(x(1, 3), x(1, 4))


def test_a_row_varies_by_itself_whatever_stands_beside_it(tmp_path: Path) -> None:
    data = prepared(Guessing(), tmp_path)
    key = data.epoch(1)[0]._replace(rows=np.arange(23))
    whole = data.batch(key)["x"]
    for row in range(23):
        alone = data.batch(key._replace(rows=np.array([row])))["x"][0]
        torch.testing.assert_close(whole[row, : len(alone)], alone, rtol=0, atol=0)


def test_no_two_rows_vary_alike(tmp_path: Path) -> None:
    with_noise, without = (prepared(Guessing(noise=noise), tmp_path) for noise in (1.0, 0.0))
    key = with_noise.epoch(1)[0]._replace(rows=np.arange(23))
    noise = with_noise.batch(key)["x"] - without.batch(key)["x"]
    first = [float(row[0]) for row in noise if row[0]]
    assert len({round(value, 4) for value in first}) == len(first) > 9


@pytest.mark.parametrize("epoch", [0, 1])
def test_the_losses_of_the_halves_add_up_to_that_of_the_whole(tmp_path: Path, epoch: int) -> None:
    data, model = prepared(Guessing(), tmp_path), Model()
    for key in data.epoch(epoch):
        batch = data.batch(key)
        halves = data.halves(batch)
        assert [len(half["x"]) for half in halves] == (
            [len(key.rows) // 2, len(key.rows) - len(key.rows) // 2] if len(key.rows) > 1 else [1]
        )
        whole, parts = data.loss(model, batch), [data.loss(model, half) for half in halves]
        torch.testing.assert_close(torch.stack([part.nll for part in parts]).sum(), whole.nll)
        assert sum(part.n_predicted for part in parts) == whole.n_predicted
        assert sum(part.n_processed for part in parts) == whole.n_processed
        assert taken([half.key for half in halves]) == key.rows.tolist()
        quarters = [quarter for half in halves for quarter in data.halves(half)]
        assert taken([quarter.key for quarter in quarters]) == key.rows.tolist()


def test_what_is_learnt_from_is_told_from_what_is_measured(tmp_path: Path) -> None:
    data, model = prepared(Guessing(noise=0.0), tmp_path), Model()
    batch = data.batch(data.epoch(0)[0])
    learnt, measured = data.loss(model, batch), data.task.loss(model, batch, is_training=False)
    assert float(learnt.loss.detach() - measured.loss.detach()) == pytest.approx(1)
    assert not batch.examples
    assert len(data.part(data.parts("dev")[0]).examples) > 0


def measured(data: PreparedTask, model: nn.Module, *, split: str = "dev") -> list[Measured]:
    with torch.no_grad():
        return [data.measure(model, data.part(key), decoding=None) for key in data.parts(split)]


def test_the_parts_of_a_split_are_all_its_rows_and_always_the_same(tmp_path: Path) -> None:
    data = prepared(Guessing(), tmp_path)
    assert sorted(taken(data.parts("dev"))) == list(range(19))
    assert sorted(taken(data.parts("test"))) == list(range(5))
    first, second = (measured(prepared(Guessing(), tmp_path, seed=seed), Model()) for seed in (3, 4))
    assert first == second  # whatever the run's seed


def test_parts_say_the_same_in_any_order_and_sharing(tmp_path: Path) -> None:
    data, model = prepared(Guessing(), tmp_path), Model()
    parts = measured(data, model)
    assert len(parts) > 4
    whole = data.validation(parts, is_report=True)
    for order in itertools.islice(itertools.permutations(parts[::-1]), 0, 720, 7):
        for world_size in (1, 2, 3):
            shares = [pickle.loads(pickle.dumps(order[rank::world_size])) for rank in range(world_size)]
            found = data.validation(itertools.chain.from_iterable(shares), is_report=True)
            assert found == whole  # to the last bit


def test_sums_over_parts_are_rounded_once(tmp_path: Path) -> None:
    data = prepared(Guessing(is_scored=False), tmp_path)
    values = [0.1, 1e16, 0.2, -1e16, 0.3]  # which added one by one give this or that
    for order in itertools.permutations(values):
        found = data.validation([Measured(value, 1, {"cubes": value}, None) for value in order])
        assert found.metrics == {"loss": math.fsum(values) / 5, "cubes": math.fsum(values)}


def test_a_validation_is_the_mean_over_the_whole_split(tmp_path: Path) -> None:
    data, model = prepared(Guessing(noise=0.0), tmp_path), Model()
    rows = list(data._corpus.rows("dev", bad_lines=BadLines("error")))
    numbers = np.concatenate([row["numbers"] for row in rows])
    found = data.validation(measured(data, model), is_report=True)
    assert found.loss == pytest.approx(np.mean((1.7 * numbers) ** 2), rel=1e-5)
    assert found.score == pytest.approx(np.mean([abs(1.7 * sum(row["numbers"])) for row in rows]), rel=1e-5)
    assert found.metrics == {
        "loss": found.loss,
        "cubes": pytest.approx((numbers**3).sum(), rel=1e-4),
        "error": found.score,
        "refused": 0,
    }
    assert set(data.validation(measured(data, model)).metrics) == {"loss", "cubes", "error"}
    assert data.score_name == "Error"
    assert found.merit == -found.score  # type: ignore[operator]


def test_of_the_validation_rows_only_the_first_are_predicted_where_a_task_says_so(tmp_path: Path) -> None:
    for n, expected in ((None, 19), (4, 4), (0, 0), (99, 19)):
        task = Guessing(n_scored=n)
        data = prepared(task, tmp_path)
        found = data.validation(measured(data, Model()))
        assert sum(task.predicted) == expected
        assert (found.score is None) == (expected == 0)
        task.predicted.clear()
        measured(data, Model(), split="test")
        assert sum(task.predicted) == 5  # of what is no validation, all


def test_a_search_gets_no_more_at_once_than_it_can_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = Guessing(noise=0.0)
    data = prepared(task, tmp_path, tokens=500)
    whole = data.validation(measured(data, Model()))
    assert len(task.predicted) == len(data.parts("dev"))
    task.predicted.clear()
    monkeypatch.setattr(measuring, "PREDICTED_TOKENS", 20)
    cut = data.validation(measured(data, Model()))
    assert len(task.predicted) > 4
    assert sum(task.predicted) == 19  # those without a number among them
    assert cut.score == pytest.approx(whole.score)


def test_without_a_metric_the_loss_says_everything(tmp_path: Path) -> None:
    data = prepared(Guessing(is_scored=False), tmp_path)
    found = data.validation(measured(data, Model()))
    assert found == Validation(found.loss, found.loss, found.metrics, is_error=True)
    assert set(found.metrics) == {"loss", "cubes"}
    assert data.score_name == "loss"


def test_measuring_alone_says_what_all_parts_say_together(tmp_path: Path) -> None:
    for noise in (0.0, 1.0):  # the noise too is that of the row, not of its batch
        task = Guessing(is_scored=False, noise=noise)
        data = prepared(task, tmp_path)
        rows = list(data._corpus.rows("dev", bad_lines=BadLines("error")))
        with torch.no_grad():
            found, left_out = measured_alone(task, Model(), rows)
        assert not left_out
        whole = data.validation(measured(data, Model()))
        assert found.loss == pytest.approx(whole.loss, rel=1e-6)
        assert found.metrics == pytest.approx(whole.metrics, rel=1e-5)


def test_measuring_alone_counts_rows_that_give_no_example() -> None:
    rows: list[Row] = [{"numbers": [1.0] * n} for n in (3, 1, 4, 1)]
    task = Guessing(is_scored=False, noise=0.0, longest=2)
    with torch.no_grad():
        found, left_out = measured_alone(task, Model(), rows)
    assert left_out == {"over longest": 2}
    assert found.loss == pytest.approx(1.7**2)


def test_measuring_alone_what_gives_no_example_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no row can be measured; left out: {'over longest': 2}"):
        measured_alone(Guessing(longest=1), Model(), [{"numbers": [1.0, 2.0]}] * 2)


def test_a_row_without_a_token_is_answered_like_any_other() -> None:
    rows: list[Row] = [{"numbers": [1.0, 2.0]}, {"numbers": []}, {"numbers": [3.0]}]
    with torch.no_grad():
        found = list(answers(Guessing(noise=0.0), Model(), rows, decoding=None))
    assert found == pytest.approx([0.9, 0.0, 0.9])


def test_a_metric_counts_all_answers_and_what_refused_rows_were_to_be_compared_with() -> None:
    rows: list[Row | Refusal] = [{"numbers": [1.0] * n} for n in (2, 5, 0, 1)]
    rows.insert(1, Refusal("no row at all"))
    task, metric = Guessing(longest=3, noise=0.0), MeanError()
    with torch.no_grad():
        found = list(answers(task, Model(), rows, decoding=None, metric=metric, chunk_rows=2))
    assert [str(each.why) if isinstance(each, Refusal) else math.floor(10 * each) for each in found] == [
        6, "no row at all", "over longest", 0, 3,
    ]  # fmt: skip
    assert (metric.n_rows, metric.n_refused) == (4, 1)
    assert metric.scores(["error"]).values["error"] == pytest.approx((3.4 + 10 + 0 + 1.7) / 4)


@pytest.mark.parametrize("chunk_rows", [5, 99])
def test_a_row_is_answered_as_it_varies_in_a_validation(tmp_path: Path, chunk_rows: int) -> None:
    task = Guessing(longest=7)
    data, model, metric = prepared(task, tmp_path), Model(), task.metric()
    assert metric is not None
    rows = list(data._corpus.rows("dev", bad_lines=BadLines("error")))
    with torch.no_grad():
        found = list(answers(task, model, rows, decoding=None, chunk_rows=chunk_rows))
    kept = [
        (answer, task.compared(row))
        for answer, row in zip(found, rows, strict=True)
        if not isinstance(answer, Refusal)
    ]
    assert 3 < len(kept) < len(rows)
    metric.update([answer for answer, _ in kept], [example for _, example in kept])
    validated = data.validation(measured(data, model))
    assert metric.scores(["error"]).values["error"] == pytest.approx(validated.score, rel=1e-6)
