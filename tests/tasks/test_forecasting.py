"""Forecasting: what windows a series gives, the loss by its formula, forecasts in the series' own units."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import zoo
from registry import SpecError
from zoo.data.cache import Rejected
from zoo.data.scaling import Scaling
from zoo.errors import DataError
from zoo.kinds import TASK
from zoo.tasks.forecasting import Forecasting
from zoo.tasks.prepared import PreparedTask, prepare
from zoo.tasks.task import Refusal

LOOK_BACK, HORIZON, V = 12, 5, 3
SMALL = (
    "model.inputs={type: series_patches, series_length: 12, patch_len: 4, stride: 4, pad_end: false}",
    "model.head={type: flattened_regression, n_places: 3, n_outputs: 5}",
    "task.data={type: waves, n_train: 61, n_dev: 23, n_test: 29}",
)


def spec(*overrides: str) -> Any:
    return zoo.load("patch_tst", *SMALL, *overrides, scale="tiny")


def task(*overrides: str, scaling: Scaling | None = None) -> Forecasting:
    run = spec(*overrides)
    coders = {"scaling": scaling or Scaling(np.array([1.0, -2.0, 0.5]), np.array([2.0, 0.5, 3.0]))}
    built: Forecasting = TASK.build(run.task, model=run.model, coders=coders)
    return built


def model() -> nn.Module:
    torch.manual_seed(5)
    built = zoo.build(spec().model).eval()
    for parameter in built.parameters():
        nn.init.normal_(parameter, std=0.5)
    return built


def ready(folder: Path, *overrides: str) -> PreparedTask:
    run = spec(*overrides)
    return prepare(
        run.task,
        model=run.model,
        folder=folder,
        tokens_per_batch=run.training.tokens_per_batch,
        rows_per_batch=7,
        seed=3,
        is_resumed=False,
    )


def series(n: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=(n, V))


def windows(task: Forecasting, n: int) -> list[Any]:
    rows = list(task.questions({"series": series(LOOK_BACK + HORIZON + n - 1)}))
    return list(task.read(rows, model()))


@pytest.mark.parametrize("instance_norm", [True, False])
def test_the_loss_is_the_squared_error_of_every_standardised_value(instance_norm: bool) -> None:
    ours, learner = task(f"task.instance_norm={str(instance_norm).lower()}"), model()
    examples = windows(ours, 4)
    loss = ours.loss(learner, ours.collate(examples), is_training=False)
    wanted = 0.0
    for example in examples:
        for v in range(V):
            past = torch.from_numpy(example["past"][:, v].copy())
            level, spread = (past.mean(), (past.var(correction=0) + 1e-5).sqrt()) if instance_norm else (0, 1)
            forecast = learner(((past - level) / spread)[None])[0] * spread + level
            wanted += float(
                ((forecast.detach() - torch.from_numpy(example["future"][:, v].copy())) ** 2).sum()
            )
    assert float(loss.nll) == pytest.approx(wanted, rel=1e-5)
    assert loss.n_predicted == 4 * HORIZON * V
    assert loss.n_processed == 4 * V * 3  # patches
    assert loss.loss.requires_grad


def test_a_forecast_is_what_the_loss_learns_and_is_written_in_the_series_own_units() -> None:
    ours, learner = task(), model()
    examples = windows(ours, 4)
    with torch.no_grad():
        answers = ours.predict(learner, ours.collate(examples), decoding=None)
        loss = ours.loss(learner, ours.collate(examples), is_training=False)
    errors = [
        ((answer - example["future"]) ** 2).sum() for answer, example in zip(answers, examples, strict=True)
    ]
    assert sum(errors) == pytest.approx(float(loss.nll), rel=1e-5)
    written = np.array(ours.written(answers[2])["forecast"])
    assert written.shape == (HORIZON, V)
    np.testing.assert_allclose(written, answers[2] * [2.0, 0.5, 3.0] + [1.0, -2.0, 0.5], rtol=1e-5)


def test_a_window_is_forecast_alike_whatever_stands_beside_it() -> None:
    ours, learner = task(), model()
    examples = windows(ours, 5)
    together = ours.predict(learner, ours.collate(examples), decoding=None)
    for example, answer in zip(examples, together, strict=True):
        (alone,) = ours.predict(learner, ours.collate([example]), decoding=None)
        np.testing.assert_allclose(alone, answer, rtol=1e-4, atol=1e-5)


def test_each_variable_is_forecast_by_itself() -> None:
    ours, learner = task(), model()
    (example,) = windows(ours, 1)
    changed = {**example, "past": example["past"] + np.array([0, 1, 0], np.float32)}
    first, second = (
        ours.predict(learner, ours.collate([each]), decoding=None)[0] for each in (example, changed)
    )
    np.testing.assert_allclose(first[:, [0, 2]], second[:, [0, 2]], rtol=1e-5)
    np.testing.assert_allclose(first[:, 1] + 1, second[:, 1], rtol=1e-3, atol=1e-4)  # by instance_norm


SCALED = (
    "model.inputs={type: series_patches, series_length: 12, patch_len: 4, stride: 4, pad_end: false, "
    "scaling: standard}",
    "task.instance_norm=false",
)


def test_a_model_that_scales_each_series_itself_learns_and_forecasts_as_by_instance_norm() -> None:
    by_task, by_model, learner = task(), task(*SCALED), model()
    scaled = zoo.build(spec(*SCALED).model).eval()
    scaled.load_state_dict(learner.state_dict())
    examples = windows(by_task, 4)
    batch = by_task.collate(examples)
    losses = [
        each.loss(one, batch, is_training=False).loss
        for each, one in ((by_task, learner), (by_model, scaled))
    ]
    assert torch.equal(*losses)
    np.testing.assert_array_equal(
        by_model.predict(scaled, batch, decoding=None), by_task.predict(learner, batch, decoding=None)
    )
    torch.testing.assert_close(by_model.hidden(scaled, batch)[0], by_task.hidden(learner, batch)[0])


def test_a_model_that_scales_itself_forecasts_in_the_units_it_was_given() -> None:
    scaled = zoo.build(spec(*SCALED).model).eval()
    past = torch.randn(2, LOOK_BACK)
    torch.testing.assert_close(scaled(past * 3 - 7), scaled(past) * 3 - 7, rtol=1e-4, atol=1e-4)


def test_a_series_is_scaled_by_the_model_or_by_the_task_and_not_by_both() -> None:
    with pytest.raises(
        SpecError, match=r"the model scales each series itself \(scaling: standard of its inp"
    ):
        spec(SCALED[0])


def test_without_it_a_level_is_no_shift() -> None:
    ours, learner = task("task.instance_norm=false"), model()
    (example,) = windows(ours, 1)
    changed = {**example, "past": example["past"] + np.float32(1)}
    first, second = (
        ours.predict(learner, ours.collate([each]), decoding=None)[0] for each in (example, changed)
    )
    assert np.abs(first + 1 - second).max() > 0.01


def test_the_end_of_a_series_is_forecast() -> None:
    ours = task()
    given = series(LOOK_BACK + 7)
    (example,) = ours.read([{"series": given}], model())
    assert not isinstance(example, Refusal)
    np.testing.assert_array_equal(example["past"], ours.scaling.scaled(given[-LOOK_BACK:]))
    assert set(example) == {"past"}
    assert len(ours.predict(model(), ours.collate([example]), decoding=None)) == 1


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (series(LOOK_BACK - 1), "11 values, but the model looks back at 12"),
        (series(20)[:, :2], r"a series of shape \[20, 2\], but 3 variables were learnt: it must be \[T, 3\]"),
        (np.full((20, V), np.nan), "a value that is no finite number"),
    ],
)
def test_a_row_that_cannot_be_forecast_is_refused(given: Any, why: str) -> None:
    ours = task()
    (first, second) = ours.read([{"series": given}, {"series": series(20)}], model())
    assert isinstance(first, Refusal)
    assert not isinstance(second, Refusal)
    with pytest.raises(AssertionError, match=why):
        raise AssertionError(first.why)


def test_the_scaling_is_that_of_the_training_part(tmp_path: Path) -> None:
    data = ready(tmp_path)
    ours: Any = data.task
    corpus_rows = list(data._corpus.rows("dev", bad_lines=None))
    train = corpus_rows[0]["series"][:61]
    np.testing.assert_allclose(ours.scaling.mean, train.mean(0))
    np.testing.assert_allclose(ours.scaling.deviation, train.std(0))


def test_a_split_is_forecast_from_its_first_time_to_its_last(tmp_path: Path) -> None:
    data = ready(tmp_path)
    whole = next(iter(data._corpus.rows("test", bad_lines=None)))["series"]
    scaled = data.task.scaling.scaled(whole)  # type: ignore[attr-defined]
    for split, n, begin in (("dev", 23, 61), ("test", 29, 84)):
        futures = np.concatenate(
            [data.part(key)["future"].numpy()[np.argsort(key.rows)] for key in data.parts(split)]
        )
        assert len(futures) == n - HORIZON + 1
        firsts = {tuple(future[0].tolist()) for future in futures}
        assert firsts == {tuple(row) for row in scaled[begin : begin + n - HORIZON + 1].tolist()}
    assert len(np.concatenate([key.rows for key in data.epoch(0)])) == 61 - LOOK_BACK - HORIZON + 1
    assert max(len(key.rows) for key in data.epoch(0)) == 7


def test_questions_are_the_windows_that_a_validation_measures(tmp_path: Path) -> None:
    data = ready(tmp_path)
    row = next(iter(data._corpus.rows("dev", bad_lines=None)))
    asked = data.task.read(list(data.task.questions(row)), model())
    stored = data._splits["dev"]
    arrangement = data._arrangement("dev")
    assert len(asked) == 23 - HORIZON + 1
    assert len(stored) == 1
    for number, question in enumerate(asked):
        assert not isinstance(question, Refusal)
        example = arrangement.example(number)
        for name in ("past", "future"):
            np.testing.assert_array_equal(question[name], example[name])


def test_a_series_that_is_too_short_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"waves, dev, row 1: 15 values, but a window takes 12 to look back at"
    ):
        ready(tmp_path, "task.data.n_dev=3")


def test_a_series_that_cannot_be_evaluated_is_told_with_the_reason() -> None:
    strict = task("task.bad_lines=error")
    with pytest.raises(DataError, match=r"task\.data: 15 values, but a window takes 12 to look back at"):
        list(strict.questions({"series": series(15)}))
    n = strict.scaling.mean.size
    with pytest.raises(DataError, match=rf"a series of {n + 1} variables, but {n} were learnt"):
        list(task().questions({"series": np.zeros((40, n + 1))}))
    assert list(task("task.bad_lines=skip").questions({"series": series(15)})) == []


def test_where_bad_ones_are_left_out_it_is_counted() -> None:
    (found,) = task().encode([{"series": series(16)}], is_scored=True)
    assert isinstance(found, Rejected)
    assert found.reason == "too short"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.head={type: regression, n_outputs: 5}", "needs a head that learns from numbers labels"),
        (
            "model.inputs={type: image_patches, image_size: 6, patch_size: 3, n_channels: 1, class_token: false}",
            "forecasting needs a model that reads series",
        ),
    ],
)
def test_another_model_is_refused(override: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        spec(override, "model.head.n_places=4" if "image" in override else "task.stride=1")
