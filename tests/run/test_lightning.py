"""zoo.lightning in Trainers as their users write them, and beside `zoo.train` and `zoo.evaluate`."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    EMAWeightAveraging,
    LearningRateMonitor,
    ModelCheckpoint,
)
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.tuner import Tuner

import zoo
from registry import dump, flat
from zoo.storage.checkpoints import Checkpoints
from zoo.storage.metrics import read
from zoo.storage.selection import load_weights
from zoo.training.quiet import WARNINGS

TINY = (
    "model.d_model=12",
    "model.encoder.n_layers=1",
    "model.encoder.layer.dropout=0.2",
    "model.source.vocab_size=301",
    "task.data={type: grammar, n_train: 50, n_dev: 11, n_test: 7}",
    "task.tokenizer=words",
    "task.validation_sentences=5",
    "training.tokens_per_batch=120",
    "training.max_minutes=null",
    "training.max_steps=10",
    "training.clip_norm=null",
    "training.validate_every=5",
    "training.precision=fp32",
    "training.accelerator=cpu",
    "training.schedule={type: inverse_sqrt, peak_lr: 0.01, warmup_steps: 4}",
    "generation={type: greedy, max_length: 5}",
)


def tiny(*overrides: str) -> zoo.RunSpec:
    return zoo.load("quickstart", *TINY, *overrides, scale="tiny")


pytestmark = [
    *(pytest.mark.filterwarnings(f"ignore:{text}:{type.__name__}") for text, type in WARNINGS.items()),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty:UserWarning"),
]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def trainer(**settings: Any) -> Trainer:
    defaults: dict[str, Any] = {
        "accelerator": "cpu",
        "devices": 1,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
    }
    return Trainer(**{**defaults, **settings})


def made(*overrides: str, folder: str = "data") -> tuple[Any, Any]:
    return zoo.lightning(tiny(*overrides), folder, progress=False)


def weights(module: Any) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.model.state_dict().items()}


def assert_same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> None:
    assert left.keys() == right.keys()
    assert [name for name in left if not torch.equal(left[name], right[name])] == []


def in_float32(value: float) -> float:
    """As Lightning logs a number."""
    return torch.tensor(value, dtype=torch.float32).item()


def test_its_figures_are_those_of_train_and_evaluate_bit_for_bit(tmp_path: Path) -> None:
    run = tiny("training.clip_norm=0.5")
    folder = zoo.train(run, tmp_path / "run", progress=False)
    module, data = made("training.clip_norm=0.5")
    assert len(data.train_dataloader()) < 10  # more than one epoch
    own = trainer(max_steps=10)
    own.fit(module, data)
    assert_same(weights(module), load_weights(folder, 10))
    (validated,) = own.validate(module, data, verbose=False)
    record = [record for record in read(folder) if record["kind"] == "validation"][-1]
    for name in ("loss", "bleu"):
        assert validated[f"val_{name}"] == in_float32(record[name])
    results = zoo.evaluate(folder, checkpoint=10)
    (tested,) = own.test(module, data, verbose=False)
    assert tested["test_bleu"] == in_float32(results["bleu"])
    assert tested["test_chrf"] == in_float32(results["chrf"])
    answers = [answer for batch in own.predict(module, data) or [] for answer in batch]
    in_order = [answer["text"] for answer in sorted(answers, key=lambda answer: answer["row"])]
    assert in_order == (folder / "hypotheses.txt").read_text().splitlines()


def test_accumulated_batches_are_a_step_as_those_of_train_are(tmp_path: Path) -> None:
    settings = ("training.max_steps=2", "training.accumulate=3")
    folder = zoo.train(tiny(*settings), tmp_path / "run", progress=False)
    module, data = made(*settings)
    assert len(data.train_dataloader()) >= 6
    trainer(max_steps=2, accumulate_grad_batches=3).fit(module, data)
    assert_same(weights(module), load_weights(folder, 2))


def test_stock_callbacks_and_loggers_find_what_they_watch() -> None:
    module, data = made()
    checkpoints = ModelCheckpoint("kept", monitor="val_score", mode="max", filename="{step}", save_last=True)
    stopping = EarlyStopping("val_loss", min_delta=1e9, patience=2)  # nothing is an improvement
    logger = CSVLogger(".", "logs", "")
    own = trainer(
        max_epochs=9,
        callbacks=[checkpoints, stopping, LearningRateMonitor("step")],
        logger=logger,
        log_every_n_steps=1,
        enable_checkpointing=True,
    )
    own.fit(module, data)
    n = len(data.train_dataloader())
    assert own.global_step == 3 * n
    saved = torch.load(checkpoints.best_model_path, weights_only=True)
    assert saved["random"][0]["torch"].dtype == torch.uint8
    told = yaml.safe_load((Path(logger.log_dir) / "hparams.yaml").read_text())
    assert told == saved["hyper_parameters"] == flat(dump(tiny()))
    with (Path(logger.log_dir) / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    rates = [float(row["lr-Adam"]) for row in rows if row["lr-Adam"]]
    assert rates[:4] == pytest.approx([0.0025, 0.005, 0.0075, 0.01])
    assert len([row for row in rows if row["train_loss"]]) == 3 * n
    assert [float(row["val_loss"]) for row in rows if row["val_loss"]][-1] == pytest.approx(
        own.callback_metrics["val_loss"].item(), rel=1e-5
    )


class Keeps(Callback):
    """Keeps the weights after each step."""

    def __init__(self) -> None:
        self.weights: list[dict[str, torch.Tensor]] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        self.weights.append(weights(pl_module))


@pytest.mark.filterwarnings("ignore:You're using the WeightAveraging callback")
def test_a_stock_moving_average_of_the_weights_is_what_is_left_at_the_end() -> None:
    module, data = made()
    kept = Keeps()
    trainer(max_steps=4, callbacks=[kept, EMAWeightAveraging(decay=0.75)]).fit(module, data)
    mean, *later = kept.weights
    for after in later:
        mean = {name: 0.75 * tensor + 0.25 * after[name] for name, tensor in mean.items()}
    assert len(later) == 3
    torch.testing.assert_close(weights(module), mean)


@pytest.mark.parametrize("settings", [{"fast_dev_run": 2}, {"overfit_batches": 1, "max_epochs": 4}])
def test_it_can_be_tried_out(settings: dict[str, Any]) -> None:
    module, data = made()
    seen: list[Any] = []
    own_step = module.training_step
    module.training_step = lambda batch, batch_idx: (seen.append(batch.key), own_step(batch, batch_idx))[1]
    own = trainer(**settings)
    own.fit(module, data)
    assert own.global_step == len(seen) == settings.get("max_epochs", 2)
    if "overfit_batches" in settings:
        assert {(key.epoch, *key.rows) for key in seen} == {(0, *seen[0].rows)}


@pytest.mark.parametrize(("step", "workers"), [(3, 0), (11, 2), ("epoch", 2)])
def test_a_trainer_goes_on_from_its_checkpoint_bit_for_bit(step: int | str, workers: int) -> None:
    setting = f"training.data_workers={workers}"
    module, data = made(setting)
    n = len(data.train_dataloader())
    at = n if step == "epoch" else int(step)
    assert 3 < n < 11 < 2 * n

    def saving() -> Trainer:
        kept = ModelCheckpoint(
            "kept", "{step}", every_n_train_steps=1, save_top_k=-1, save_on_train_epoch_end=False
        )
        return trainer(max_epochs=2, callbacks=[kept], enable_checkpointing=True)

    saving().fit(module, data)
    again, data = made(setting)
    resumed = saving()
    resumed.fit(again, data, ckpt_path=f"kept/step={at}.ckpt")
    assert resumed.global_step == 2 * n
    assert_same(weights(again), weights(module))


def test_the_trainer_clips_where_the_spec_does_not() -> None:
    run = (
        "training.max_steps=1",
        "training.optimizer={type: sgd}",
        "training.schedule={type: constant, lr: 1}",
    )
    module, data = made(*run)
    before = weights(module)
    trainer(max_steps=1, gradient_clip_val=0.01).fit(module, data)
    squares = [((new - before[name]) ** 2).sum() for name, new in module.model.named_parameters()]
    assert torch.stack(squares).sum().sqrt().item() == pytest.approx(0.01, rel=1e-3)
    module, data = made("training.clip_norm=0.5", folder="other")
    with pytest.raises(zoo.RunError, match=r"clip_norm .0\.5. and the Trainer's gradient_clip_val"):
        trainer(max_steps=1, gradient_clip_val=0.01).fit(module, data)


def test_a_prepared_folder_serves_the_same_spec_only(tmp_path: Path) -> None:
    first, _ = made()
    again, _ = made()
    assert_same(weights(first), weights(again))
    with pytest.raises(zoo.RunError, match="holds another run"):
        made("training.seed=2")
    module, _ = zoo.lightning(tiny(), name="mine", progress=False)
    assert [path.name.startswith("mine-") for path in Path("runs").iterdir()] == [True]
    folder = zoo.train(tiny(), tmp_path / "run", progress=False)
    assert Checkpoints(folder / "checkpoints").steps()
    assert_same(weights(zoo.lightning(folder, progress=False)[0]), weights(module))


def test_bad_data_leaves_no_folder_behind() -> None:
    with pytest.raises(zoo.DataError):
        made(
            "task.data={type: parallel_text, folder: nowhere, source_language: de, target_language: en}",
            folder="gone",
        )
    assert not Path("gone").exists()


def test_it_goes_on_from_what_is_kept_at_an_epochs_end(tmp_path: Path) -> None:
    def saving() -> Trainer:
        kept = ModelCheckpoint("kept", "{epoch}", monitor="val_loss", save_top_k=-1)
        return trainer(max_epochs=2, callbacks=[kept], enable_checkpointing=True)

    module, data = made()
    saving().fit(module, data)
    again, data = made()
    saving().fit(again, data, ckpt_path="kept/epoch=0.ckpt")
    assert_same(weights(again), weights(module))


def test_the_rows_of_a_split_may_be_looked_at() -> None:
    _, data = made()
    rows = list(data.rows("dev"))
    assert (len(rows), set(rows[0])) == (11, {"source", "target"})
    assert len({row["source"] for row in rows}) > 5
    (first, *_), examples = data.test_dataloader(), list(data.rows("test"))
    row = examples[int(first.key.rows[0])]
    tokenizer = data.task.task.coders["tokenizer"]
    expected = tokenizer.encode([row["source"]])[0]
    assert first["source"][0, : len(expected)].tolist() == expected


@pytest.mark.parametrize(
    ("preset", "mode"), [("quickstart", "max"), ("char_gpt", "min"), ("patch_tst", "min")]
)
def test_the_best_checkpoint_is_kept_whichever_way_the_score_goes(preset: str, mode: str) -> None:
    module, data = zoo.lightning(
        zoo.load(preset, "training.max_steps=6", scale="tiny"), "any", progress=False
    )
    assert module.mode_of("val_score") == mode
    assert module.mode_of("val_loss") == "min"
    kept = ModelCheckpoint("kept", monitor="val_score", mode=module.mode_of("val_score"))
    own = trainer(
        max_steps=6, val_check_interval=2, check_val_every_n_epoch=None, limit_val_batches=1,
        enable_checkpointing=True, callbacks=[kept, seen := Seen()],
    )  # fmt: skip
    own.fit(module, data)
    assert kept.best_model_score == (max if mode == "max" else min)(seen.scores)


class Seen(Callback):
    """What was logged as val_score."""

    def __init__(self) -> None:
        self.scores: list[torch.Tensor] = []

    def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
        self.scores.append(trainer.callback_metrics["val_score"])


def test_a_rate_may_be_looked_for_and_training_is_then_as_without(tmp_path: Path) -> None:
    module, data = made()
    own = trainer(max_steps=8)
    found = Tuner(own).lr_find(module, datamodule=data, num_training=6, update_attr=False)
    assert found is not None
    assert len(found.results["lr"]) == len(found.results["loss"]) == 6
    own.fit(module, data)
    plain, same_data = made()
    trainer(max_steps=8).fit(plain, same_data)
    assert_same(weights(module), weights(plain))


def test_what_a_tuner_cannot_set_is_not_taken_for_set(tmp_path: Path) -> None:
    module, data = made()
    with pytest.raises(AttributeError, match="should have one of these fields"):
        Tuner(trainer(max_steps=8)).lr_find(module, datamodule=data, num_training=6)


def test_a_checkpoint_is_given_to_the_trainer_not_to_the_class() -> None:
    module, data = made()
    own = trainer(max_steps=2)
    own.fit(module, data)
    own.save_checkpoint("own.ckpt")
    with pytest.raises(
        zoo.RunError, match=r"a module is made by zoo\.lightning\(run\); give a Trainer its checkpoint"
    ):
        type(module).load_from_checkpoint("own.ckpt")
    (again,) = trainer().validate(*made(), ckpt_path="own.ckpt", verbose=False, weights_only=False)
    assert again == own.validate(module, data, verbose=False)[0]
