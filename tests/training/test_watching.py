"""Loggers, callbacks, the moving average, layers computed twice: what a spec's training section may ask for."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar, Literal

import pytest
import torch
import yaml
from comparison import differences, final
from cutting import resumed
from lightning.pytorch import Callback

from registry import Spec, SpecError, flat, parse
from zoo.assembly.build import build
from zoo.errors import RunError
from zoo.kinds import CALLBACK, LOGGER, MODEL
from zoo.storage.checkpoints import Checkpoints
from zoo.storage.metrics import read
from zoo.storage.selection import load_weights
from zoo.training.devices import recompute_layers
from zoo.training.fit import fit
from zoo.training.module import TrainingModule


def rows(folder: Path, session: int = 0) -> list[dict[str, str]]:
    with (folder / "logs" / f"from-step-{session}" / "csv" / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_logger_gets_the_figures_of_the_runs_own_record(toy: ModuleType, tmp_path: Path) -> None:
    run = toy.toy_run(loggers=["csv", "tensorboard"], callbacks=["learning_rate_monitor"])
    fit(run, tmp_path, resume=False, progress=False)
    records = read(tmp_path)
    for kind, name, key in (("train", "train_loss", "loss"), ("validation", "val_bleu", "bleu")):
        found = {int(row["step"]): float(row[name]) for row in rows(tmp_path) if row[name]}
        assert found == {r["step"]: pytest.approx(r[key]) for r in records if r["kind"] == kind}
    assert any(row["lr-Adam"] for row in rows(tmp_path))
    assert list((tmp_path / "logs" / "from-step-0" / "tensorboard").glob("events*"))


def test_a_logger_is_told_the_runs_spec(toy: ModuleType, tmp_path: Path) -> None:
    schedule = {"type": "linear", "peak_lr": 1e-3, "warmup_steps": 2}
    run = toy.toy_run(loggers=["csv"], schedule=schedule, max_steps=4)
    fit(run, tmp_path, resume=False, progress=False)
    text = (tmp_path / "logs" / "from-step-0" / "csv" / "hparams.yaml").read_text()
    told = yaml.safe_load(text)
    assert told["model.encoder.layer.self_attention.type"] == "multi_head"
    assert told["training.loggers.0.type"] == "csv"
    assert told["training.schedule.total_steps"] == 4  # as it is settled, not as it was given
    assert told == flat(yaml.safe_load((tmp_path / "spec.yaml").read_text()))


def test_a_resumed_run_logs_into_a_folder_of_its_own(toy: ModuleType, tmp_path: Path) -> None:
    resumed(toy.toy_run(loggers=["csv"]), tmp_path, at=5)  # the last checkpoint is of step 4
    assert [int(row["step"]) for row in rows(tmp_path, 4) if row["train_loss"]] == [6, 8, 10]


STOPPING = {"type": "early_stopping", "patience": 2, "min_delta": 1e9}


def test_early_stopping_ends_a_run_for_good(toy: ModuleType, tmp_path: Path) -> None:
    run = toy.toy_run(max_steps=30, callbacks=[STOPPING], validate_every=2)
    result = fit(run, tmp_path / "alone", resume=False, progress=False)
    assert result.step == 6  # of validations at 2, 4 and 6 the last two were no better
    assert Checkpoints(tmp_path / "alone" / "checkpoints").steps()[-1] == 6
    assert fit(run, tmp_path / "alone", resume=True, progress=False).step == 6
    resumed(run, tmp_path / "cut", at=5)  # what it has counted is in the checkpoint
    assert list(differences(final(tmp_path / "alone"), final(tmp_path / "cut"))) == []


@pytest.mark.parametrize(("mode", "sign"), [("max", 1), ("min", -1)])
@pytest.mark.parametrize("is_resumed", [False, True])
def test_early_stopping_goes_by_which_way_the_figure_is_better(
    mode: Literal["max", "min"], sign: int, is_resumed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TrainingModule, "mode_of", lambda _, figure: mode)
    module = TrainingModule.__new__(TrainingModule)
    spec = {"type": "early_stopping", "monitor": "val_score", "patience": 2, "min_delta": 0.5}
    parsed = parse(CALLBACK.entry("early_stopping").spec, spec)
    trainer = SimpleNamespace(
        state=SimpleNamespace(fn="fit"), sanity_checking=False, fast_dev_run=False, should_stop=False,
        strategy=SimpleNamespace(reduce_boolean_decision=lambda is_over, all: is_over), current_epoch=0,
    )  # fmt: skip
    stopping = CALLBACK.build(parsed)
    for score, is_over in (
        (3.0, False),
        (4.0, False),
        (4.25, False),
        (4.75, False),
        (5.0, False),
        (5.25, True),
    ):
        trainer.callback_metrics = {"val_score": torch.tensor(sign * score)}
        if is_resumed:
            state, stopping = stopping.state_dict(), CALLBACK.build(parsed)
            stopping.load_state_dict(state)
        stopping.on_validation_end(trainer, module)
        assert trainer.should_stop is is_over, score


def test_what_cannot_be_watched_is_an_error(toy: ModuleType, tmp_path: Path) -> None:
    run = toy.toy_run(callbacks=[{"type": "early_stopping", "monitor": "val_los"}])
    with pytest.raises(RunError, match=r"nothing is called 'val_los'; did you mean 'val_loss'\?"):
        fit(run, tmp_path, resume=False, progress=False)


def test_a_callback_of_a_plugin_is_called_and_remembers(
    toy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CALLBACK, "_entries", dict(CALLBACK._entries))
    seen: list[int] = []

    class CountSpec(Spec):
        type: Literal["count"] = "count"

    @CALLBACK.register("count", spec=CountSpec)
    class Count(Callback):
        """Counts batches."""

        n = 0

        def on_train_batch_end(self, *args: Any) -> None:
            self.n += 1
            seen.append(self.n)

        def state_dict(self) -> dict[str, Any]:
            return {"n": self.n}

        def load_state_dict(self, state_dict: dict[str, Any]) -> None:
            self.n = state_dict["n"]

    resumed(toy.toy_run(callbacks=["count"]), tmp_path, at=3)
    assert seen[-1] == 10


def test_the_moving_average_is_the_result(toy: ModuleType, tmp_path: Path) -> None:
    settings = {"validate_every": 100, "checkpoint_every": 1, "keep_checkpoints": 20}
    fit(toy.toy_run(**settings), tmp_path / "plain", resume=False, progress=False)
    fit(toy.toy_run(**settings, ema=0.75), tmp_path / "ema", resume=False, progress=False)
    live = [load_weights(tmp_path / "plain", step) for step in range(1, 11)]
    means = [load_weights(tmp_path / "ema", step) for step in range(1, 11)]
    for before, after, weights in zip(means, means[1:], live[1:], strict=False):
        for name, mean in after.items():
            torch.testing.assert_close(mean, 0.75 * before[name] + 0.25 * weights[name], rtol=1e-5, atol=1e-6)
    saved = Checkpoints(tmp_path / "ema" / "checkpoints").state(10)["weights"]
    assert all(torch.equal(saved[name], tensor) for name, tensor in live[-1].items())
    losses = [read(tmp_path / name)[-1]["loss"] for name in ("plain", "ema")]
    assert losses[0] != losses[1]  # the mean is what is validated


def test_the_key_ema_is_short_for_the_callback(toy: ModuleType, tmp_path: Path) -> None:
    fit(toy.toy_run(ema=0.75), tmp_path / "key", resume=False, progress=False)
    callback = {"type": "weight_ema", "decay": 0.75}
    fit(toy.toy_run(callbacks=[callback]), tmp_path / "callback", resume=False, progress=False)
    key, other = (load_weights(tmp_path / name, 10) for name in ("key", "callback"))
    assert all(torch.equal(other[name], tensor) for name, tensor in key.items())


def test_a_moving_average_that_warms_up_begins_late_and_forgets_the_first_weights(
    toy: ModuleType, tmp_path: Path
) -> None:
    settings = {"checkpoint_every": 1, "keep_checkpoints": 20}
    callback = {"type": "weight_ema", "decay": 0.35, "warm_up": True, "from_step": 4}
    fit(toy.toy_run(**settings), tmp_path / "plain", resume=False, progress=False)
    fit(toy.toy_run(**settings, callbacks=[callback]), tmp_path / "ema", resume=False, progress=False)
    live = [load_weights(tmp_path / "plain", step) for step in range(4, 11)]
    means = [load_weights(tmp_path / "ema", step) for step in range(4, 11)]
    assert all(torch.equal(means[0][name], tensor) for name, tensor in live[0].items())
    decays = [2 / 11, 3 / 12, 4 / 13, 0.35, 0.35, 0.35]  # 5 / 14 is above it
    for decay, before, after, weights in zip(decays, means[:-1], means[1:], live[1:], strict=True):
        for name, mean in after.items():
            expected = decay * before[name] + (1 - decay) * weights[name]
            torch.testing.assert_close(mean, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "average",
    [{"ema": 0.75}, {"callbacks": [{"type": "weight_ema", "decay": 0.9, "warm_up": True, "from_step": 3}]}],
)
def test_a_run_with_a_moving_average_is_resumed_bit_for_bit(
    toy: ModuleType, tmp_path: Path, average: dict[str, Any]
) -> None:
    run = toy.toy_run(**average)
    fit(run, tmp_path / "alone", resume=False, progress=False)
    resumed(run, tmp_path / "cut", at=5)
    assert list(differences(final(tmp_path / "alone"), final(tmp_path / "cut"))) == []


def test_an_average_of_a_plugin_is_the_result(
    toy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plain mean of the weights of all steps, which has to remember how many it has seen."""
    monkeypatch.setattr(CALLBACK, "_entries", dict(CALLBACK._entries))

    class MeanSpec(Spec):
        type: Literal["mean"] = "mean"
        averages_weights: ClassVar[bool] = True

    @CALLBACK.register("mean", spec=MeanSpec)
    class Mean(Callback):
        """Averages."""

        n = 0

        def on_fit_start(self, trainer: Any, module: Any) -> None:
            self.model = module.model
            self.means = {name: tensor.clone() for name, tensor in module.model.state_dict().items()}

        def update(self, step: int) -> None:
            self.n += 1
            for name, tensor in self.model.state_dict().items():
                self.means[name].lerp_(tensor, 1 / self.n)

        @contextmanager
        def in_place(self) -> Iterator[None]:
            own = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
            self.model.load_state_dict(self.means)
            yield
            self.model.load_state_dict(own)

        def state_dict(self) -> dict[str, Any]:
            return {"n": self.n}

        def load_state_dict(self, state_dict: dict[str, Any]) -> None:
            self.n = state_dict["n"]

    fit(
        toy.toy_run(checkpoint_every=1, keep_checkpoints=20), tmp_path / "plain", resume=False, progress=False
    )
    resumed(toy.toy_run(callbacks=["mean"]), tmp_path / "mean", at=5)
    live = [load_weights(tmp_path / "plain", step) for step in range(1, 11)]
    for name, tensor in load_weights(tmp_path / "mean", 10).items():
        expected = torch.stack([weights[name] for weights in live]).mean(0)
        torch.testing.assert_close(tensor, expected, rtol=1e-5, atol=1e-6)


def test_layers_computed_again_learn_the_same(toy: ModuleType, tmp_path: Path) -> None:
    fit(toy.toy_run(), tmp_path / "plain", resume=False, progress=False)
    fit(toy.toy_run(activation_checkpointing=True), tmp_path / "again", resume=False, progress=False)
    plain, again = (load_weights(tmp_path / name, 10) for name in ("plain", "again"))
    assert all(torch.equal(again[name], tensor) for name, tensor in plain.items())


def test_layers_computed_again_change_running_statistics_once() -> None:
    layer = {"self_attention": {"type": "multi_head", "n_heads": 3}, "ffn": {"type": "mlp", "d_ff": 11}}
    stack = {"n_layers": 2, "layer": {**layer, "norm": "batch_norm", "dropout": 0.0}}
    inputs = {"type": "series_patches", "series_length": 12, "patch_len": 4, "stride": 4}
    data = {"type": "encoder_only", "d_model": 6, "inputs": inputs, "encoder": stack, "head": "none"}
    spec = parse(MODEL.entry("encoder_only").spec, data)
    torch.manual_seed(0)
    plain, again = build(spec).train(), build(spec).train()
    again.load_state_dict(plain.state_dict())
    recompute_layers(again)
    for series in torch.randn(3, 2, 12):
        for model in (plain, again):
            model(series).square().sum().backward()
    for name, tensor in plain.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name
    assert plain.get_buffer("encoder.layers.1.layout.norms.0.running_mean").any()
    for (name, one), other in zip(plain.named_parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, msg=name)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ema": 0.9, "average_last": 2}, "ema .0.9. and average_last .2. both average"),
        ({"callbacks": ["weight_ema"], "average_last": 2}, "callback weight_ema and average_last .2. both"),
        ({"callbacks": ["weight_ema", "weight_ema"]}, "callback weight_ema and callback weight_ema both"),
        ({"callbacks": ["weight_ema"], "ema": 0.9}, "ema .0.9. and callback weight_ema both"),
        ({"compile": True, "activation_checkpointing": True}, "do not go together"),
        ({"callbacks": ["learning_rate_monitor"]}, "nowhere to write to"),
    ],
)
def test_what_cannot_be_combined_is_refused(toy: ModuleType, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        toy.toy_run(**settings)


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_logger_that_is_not_installed_says_how_to_get_it(name: str, tmp_path: Path) -> None:
    pytest.importorskip("lightning")
    try:
        __import__(name)
    except ModuleNotFoundError:
        with pytest.raises(RunError, match=rf"architecture-zoo\[{name}\]"):
            LOGGER.build(LOGGER.examples(name)[0], folder=tmp_path)
    else:
        assert LOGGER.build(LOGGER.examples(name)[0], folder=tmp_path)


def test_mlflow_without_a_server_keeps_a_database_in_the_runs_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Plain files are refused by MLflow 3."""
    loggers = pytest.importorskip("lightning.pytorch.loggers")
    monkeypatch.setattr(loggers, "MLFlowLogger", lambda **given: given)
    build = LOGGER.entry("mlflow").spec
    assert LOGGER.build(build(), folder=tmp_path) == {
        "experiment_name": "zoo",
        "tracking_uri": f"sqlite:///{tmp_path}/mlflow/mlflow.db",
        "artifact_location": f"{tmp_path}/mlflow/artifacts",
    }
    assert (tmp_path / "mlflow").is_dir()  # the database makes none
    there = LOGGER.build(build(tracking_uri="http://localhost:5000"), folder=tmp_path)
    assert there == {"experiment_name": "zoo", "tracking_uri": "http://localhost:5000"}
