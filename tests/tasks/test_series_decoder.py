"""Forecasting by a decoder: the loss by its formula, nothing from the future, writing with a cache and without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import zoo
from registry import SpecError
from zoo.data.scaling import Scaling
from zoo.kinds import TASK
from zoo.tasks.forecasting import Forecasting
from zoo.tasks.prepared import prepare

LOOK_BACK, HORIZON, V, P = 12, 7, 3, 3
SMALL = (
    f"model.tokens.patch_len={P}",
    f"model.head.n_outputs={P}",
    f"task.look_back={LOOK_BACK}",
    f"task.horizon={HORIZON}",
    "task.data={type: waves, n_train: 61, n_dev: 23, n_test: 29}",
)


def spec(*overrides: str) -> Any:
    return zoo.load("series_decoder", *SMALL, *overrides, scale="tiny")


def task(*overrides: str) -> Forecasting:
    run = spec(*overrides)
    coders = {"scaling": Scaling(np.array([1.0, -2.0, 0.5]), np.array([2.0, 0.5, 3.0]))}
    built: Forecasting = TASK.build(run.task, model=run.model, coders=coders)
    return built


def model(*overrides: str) -> nn.Module:
    torch.manual_seed(5)
    built = zoo.build(spec(*overrides).model).eval()
    for parameter in built.parameters():
        nn.init.normal_(parameter, std=0.3)
    return built


def windows(ours: Forecasting, n: int) -> list[Any]:
    given = np.random.default_rng(0).normal(size=(LOOK_BACK + HORIZON + n - 1, V)).cumsum(0)
    return list(ours.read(list(ours.questions({"series": given})), model()))


def said(learner: Any, read: Tensor, *, instance_norm: bool = True) -> Tensor:
    """What a model says follows the values [T] of one variable: by the formula, everything computed anew."""
    levels = [
        (read[:end].mean(), (read[:end].var(correction=0) + 1e-5).sqrt())
        if instance_norm
        else (torch.tensor(0.0), torch.tensor(1.0))
        for end in range(P, len(read) + 1, P)
    ]
    inputs = [(read[i * P : (i + 1) * P] - mean) / scale for i, (mean, scale) in enumerate(levels)]
    mean, scale = levels[-1]
    found: Tensor = learner(torch.cat(inputs)[None])[0, -1] * scale + mean
    return found.detach()


@pytest.mark.parametrize("instance_norm", [True, False])
@pytest.mark.parametrize("n_written", [3, 6])
def test_the_loss_is_the_squared_error_of_what_follows_every_step(
    instance_norm: bool, n_written: int
) -> None:
    overrides = (f"task.instance_norm={str(instance_norm).lower()}", f"model.head.n_outputs={n_written}")
    ours, learner = task(*overrides), model(*overrides)
    examples = windows(ours, 4)
    loss = ours.loss(learner, ours.collate(examples), is_training=False)
    wanted, n = 0.0, 0
    for example in examples:
        whole = torch.from_numpy(np.concatenate([example["past"], example["future"]]))
        for v in range(V):
            for end in range(P, LOOK_BACK + HORIZON - n_written + 1, P):
                error = (
                    said(learner, whole[:end, v], instance_norm=instance_norm) - whole[end:, v][:n_written]
                )
                wanted, n = wanted + float((error**2).sum()), n + n_written
    assert float(loss.nll) == pytest.approx(wanted, rel=1e-4)
    assert loss.n_predicted == n
    assert loss.n_processed == n // n_written  # steps read
    assert loss.loss.requires_grad


@pytest.mark.parametrize("n_written", [3, 6])
def test_a_forecast_is_written_step_by_step_and_is_that_without_a_cache(n_written: int) -> None:
    overrides = (f"model.head.n_outputs={n_written}",)
    ours, learner = task(*overrides), model(*overrides)
    examples = windows(ours, 4)
    with torch.no_grad():
        answers = ours.predict(learner, ours.collate(examples), decoding=None)
    for example, answer in zip(examples, answers, strict=True):
        assert answer.shape == (HORIZON, V)
        for v in range(V):
            read = torch.from_numpy(example["past"][:, v].copy())
            while len(read) < LOOK_BACK + HORIZON:
                read = torch.cat([read, said(learner, read)])
            np.testing.assert_allclose(answer[:, v], read[LOOK_BACK:][:HORIZON], rtol=1e-4, atol=1e-5)


def test_the_cache_saves_what_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, learner = task(), model()
    lengths, decode = [], type(learner).decode
    monkeypatch.setattr(
        type(learner),
        "decode",
        lambda self, x, **named: (lengths.append(x.shape[1]), decode(self, x, **named))[1],
    )
    ours.predict(learner, ours.collate(windows(ours, 1)), decoding=None)
    assert lengths == [LOOK_BACK, P, P]


def test_the_vectors_of_a_window_are_those_of_all_its_variables() -> None:
    ours, learner = task(), model()
    batch = ours.collate(windows(ours, 2))
    hidden, mask = ours.hidden(learner, batch)
    assert mask is None
    inputs, _, _ = ours.forecaster._read(batch["past"][1, :, 2][None])  # type: ignore[attr-defined]
    torch.testing.assert_close(hidden[1].unflatten(0, (V, -1))[2], learner.hidden(inputs)[0][0])  # type: ignore[operator]


def test_nothing_that_a_step_says_depends_on_what_comes_after_it() -> None:
    """The gradient of the loss by the values: of the first steps' errors alone, by scaling as by attention, none."""
    ours, learner = task(), model()
    series = torch.randn(2, LOOK_BACK + HORIZON)
    inputs, mean, scale = ours.forecaster._read(series[:, :15])  # type: ignore[attr-defined]
    other, other_mean, other_scale = ours.forecaster._read(  # type: ignore[attr-defined]
        torch.cat([series[:, :9], series[:, 9:15] * 5 + 3], 1)
    )
    forecasts = [
        learner(x)[:, :3] * s[:, :3, None] + m[:, :3, None]
        for x, m, s in ((inputs, mean, scale), (other, other_mean, other_scale))
    ]
    torch.testing.assert_close(*forecasts)
    assert not torch.allclose(inputs[:, 9:], other[:, 9:])


def test_the_level_is_exact_far_from_zero() -> None:
    series = torch.randn(2, 15, dtype=torch.float64) * 0.1 + 1000
    _, mean, scale = task().forecaster._read(series.float())  # type: ignore[attr-defined]
    for i, end in enumerate(range(P, 16, P)):
        torch.testing.assert_close(mean[:, i], series[:, :end].mean(1).float())
        wanted = (series[:, :end].float().double().var(1, correction=0) + 1e-5).sqrt()
        torch.testing.assert_close(scale[:, i], wanted.float(), rtol=1e-4, atol=0)


def test_a_constant_series_goes_on() -> None:
    ours, learner = task(), model()
    (example,) = ours.read([{"series": np.full((LOOK_BACK, V), 4.0)}], learner)
    (answer,) = ours.predict(learner, ours.collate([example]), decoding=None)  # type: ignore[list-item]
    assert np.isfinite(answer).all()


def test_a_split_is_divided_into_windows_of_look_back_and_horizon(tmp_path: Path) -> None:
    run = spec()
    data = prepare(
        run.task, model=run.model, folder=tmp_path, tokens_per_batch=4096, rows_per_batch=7, seed=3,
        is_resumed=False,
    )  # fmt: skip
    assert len(np.concatenate([key.rows for key in data.epoch(0)])) == 61 - LOOK_BACK - HORIZON + 1
    batch = data.part(next(iter(data.parts("dev"))))
    assert batch["past"].shape[1:] == (LOOK_BACK, V)
    assert batch["future"].shape[1:] == (HORIZON, V)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["task.look_back=13"], r"look_back \(13\) must be a multiple of patch_len \(3\)"),
        (["model.head.n_outputs=4"], r"n_outputs of the head \(4\) must be a multiple of patch_len \(3\)"),
        (["model.head.n_outputs=9"], r"n_outputs of the head \(9\) must be at most the horizon \(7\)"),
        (["task.horizon=null"], "a model that writes reads and writes any length: set horizon$"),
        (["task.look_back=null", "task.horizon=null"], "set look_back and horizon"),
        (["model.position={type: learned, max_len: 5}"], r"position: max_len \(5\) must be at least 6"),
        (
            ["model.head={type: flattened_regression, n_places: 4, n_outputs: 3}"],
            "gives sequences of any length",
        ),
        (["generation=greedy"], "a head of type regression predicts no tokens to search for"),
    ],
)
def test_what_does_not_fit_is_refused(overrides: list[str], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        spec(*overrides)


def test_a_head_that_gives_a_place_no_numbers_is_refused() -> None:
    with pytest.raises(SpecError, match="needs a head that learns from value labels; none learns nothing"):
        zoo.load("series_decoder", "model.head={type: none}", scale="tiny")


def test_positions_that_just_reach_are_enough() -> None:
    ours = task("model.position={type: learned, max_len: 6}")
    learner = model("model.position={type: learned, max_len: 6}")
    (example,) = windows(ours, 1)
    assert ours.predict(learner, ours.collate([example]), decoding=None)[0].shape == (HORIZON, V)


def test_an_encoders_lengths_are_its_own() -> None:
    small = (
        "model.inputs={type: series_patches, series_length: 12, patch_len: 4, stride: 4, pad_end: false}",
        "model.head={type: flattened_regression, n_places: 3, n_outputs: 5}",
    )
    with pytest.raises(SpecError, match=r"look_back \(13\) is the model's, which is 12; leave it out"):
        zoo.load("patch_tst", *small, "task.look_back=13", scale="tiny")
    zoo.load("patch_tst", *small, "task.look_back=12", "task.horizon=5", scale="tiny")
