from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import lightning.pytorch
import pytest
import torch
from torch.nn.utils import get_total_norm

from registry import SpecError, parse
from zoo.assembly.build import build
from zoo.errors import DivergedError, PreemptedError, RunError
from zoo.kinds import Scores
from zoo.storage import checkpoints
from zoo.storage.checkpoints import Checkpoints
from zoo.storage.metrics import read
from zoo.storage.selection import load_weights
from zoo.tasks import prepared
from zoo.training import keeper, module
from zoo.training.fit import TrainingResult, fit
from zoo.training.order import Batches, Position
from zoo.training.randomness import seed_all, untouched


def records(folder: Path, kind: str) -> list[dict[str, Any]]:
    return [record for record in read(folder) if record["kind"] == kind]


def at_step(step: int, act: Callable[[keeper.Keeper], None]) -> Callable[..., Any]:
    """A method of the keeper that does something more when its run is at a step."""
    original = keeper.Keeper._count

    def acting(self: keeper.Keeper, *args: Any) -> Any:
        original(self, *args)
        if self.progress.step == step:
            act(self)

    return acting


# What a run leaves behind


def test_a_run_folder_explains_itself(toy: ModuleType, tmp_path: Path) -> None:
    run = toy.toy_run(average_last=2)
    result = fit(run, tmp_path, resume=False, progress=False)
    assert isinstance(result, TrainingResult)
    assert (result.step, result.n_skipped, result.weights.name) == (10, 0, "step-10-average-2")
    assert result.validation == records(tmp_path, "validation")[-1]
    from presets import read as read_yaml

    assert parse(toy.ToyRun, read_yaml(tmp_path / "spec.yaml").data) == run
    session = json.loads((tmp_path / "environment.json").read_text())["sessions"][0]
    assert session["packages"]["torch"] == torch.__version__
    assert (session["device_type"], session["resumed_step"]) == ("cpu", None)
    index = json.loads((tmp_path / "checkpoints" / "index.json").read_text())
    assert index == {"last": "step-10", "best": f"step-{result.best_step}", "average": "step-10-average-2"}


def test_the_record_has_every_step_it_should(toy: ModuleType, tmp_path: Path) -> None:
    fit(toy.toy_run(log_every=3, validate_every=4), tmp_path, resume=False, progress=False)
    train = records(tmp_path, "train")
    assert [record["step"] for record in train] == [3, 6, 9, 10]
    assert [record["step"] for record in records(tmp_path, "validation")] == [4, 8, 10]
    assert train[-1]["epoch"] == pytest.approx(10 / 7)
    assert train[0]["learning_rate"] == pytest.approx(8**-0.5 * 3 * 5**-1.5)
    assert all(record["nll"] < record["loss"] < 5 for record in train)


def scripted(monkeypatch: pytest.MonkeyPatch, toy: ModuleType, *scores: float) -> None:
    """Validations find these scores, whatever this processor's rounding makes of the model."""
    values = iter(scores)
    monkeypatch.setattr(
        toy.ToyMetric,
        "scores",
        lambda self, names: Scores(dict.fromkeys(self.titles, next(values)), self.n_rows, self.titles),
    )


def test_the_best_checkpoint_is_the_best_validated_one(
    toy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(monkeypatch, toy, 20.0, 40.0, 10.0, 60.0, 50.0, 30.0)
    run = toy.toy_run(validate_every=2, checkpoint_every=5, max_steps=12)
    result = fit(run, tmp_path, resume=False, progress=False)
    validations = records(tmp_path, "validation")
    best = max(validations, key=lambda record: record["bleu"])
    assert result.best_step == best["step"]
    assert best["step"] == 8
    assert result.weights.name == "step-8"


def test_the_best_may_go_by_the_loss(toy: ModuleType, tmp_path: Path) -> None:
    run = toy.toy_run(validate_every=2, best_by="loss")
    result = fit(run, tmp_path, resume=False, progress=False)
    best = min(records(tmp_path, "validation"), key=lambda record: record["loss"])
    assert result.best_step == best["step"]


def test_of_a_score_that_counts_errors_the_lowest_is_the_best_and_it_is_shown_as_it_is(
    toy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(toy.ToyMetric, "titles", {"ter": "TER"})
    monkeypatch.setattr(toy.ToyMetric, "lower_is_better", frozenset({"ter"}))
    scripted(monkeypatch, toy, 30.0, 70.0, 20.0, 60.0, 50.0, 40.0)
    monkeypatch.setattr(toy, "SCORE", "ter")
    run = toy.toy_run(validate_every=2, checkpoint_every=5, max_steps=12)
    result = fit(run, tmp_path, resume=False, progress=True)
    found = {record["step"]: record["ter"] for record in records(tmp_path, "validation")}
    assert result.best_step == min(found, key=lambda step: found[step])
    assert result.best_step not in (min(found), max(found))  # else this shows nothing
    told = [line for line in capsys.readouterr().err.splitlines() if "validation loss" in line]
    assert [line.split("  ")[-1] for line in told] == [f"TER {ter:.2f}" for ter in found.values()]


def test_checkpoints_that_nobody_needs_are_removed(toy: ModuleType, tmp_path: Path) -> None:
    run = toy.toy_run(checkpoint_every=1, keep_checkpoints=3)
    result = fit(run, tmp_path, resume=False, progress=False)
    assert Checkpoints(tmp_path / "checkpoints").steps() == sorted({8, 9, 10, result.best_step})


def test_by_default_as_many_are_kept_as_are_averaged(toy: ModuleType, tmp_path: Path) -> None:
    run = toy.toy_run(checkpoint_every=2, keep_checkpoints=None, average_last=4)
    result = fit(run, tmp_path, resume=False, progress=False)
    assert Checkpoints(tmp_path / "checkpoints").steps() == sorted({4, 6, 8, 10, result.best_step})


def test_a_checkpoint_made_for_its_score_is_not_averaged(
    toy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(monkeypatch, toy, 10.0, 30.0, 20.0)  # after 4, 8 and 10 steps
    result = fit(toy.toy_run(average_last=3), tmp_path, resume=False, progress=False)
    assert Checkpoints(tmp_path / "checkpoints").steps() == [3, 6, 8, 9, 10]
    steps = [load_weights(tmp_path, step) for step in (6, 9, 10)]
    for name, tensor in load_weights(tmp_path).items():
        mean = torch.stack([weights[name].double() for weights in steps]).mean(0)
        torch.testing.assert_close(tensor, mean.float(), rtol=1e-6, atol=0)
    assert result.weights.name == "step-10-average-3"


# What a step learns from


def reference_gradient(toy: ModuleType, run: Any, n_batches: int, tmp_path: Path) -> dict[str, torch.Tensor]:
    """Of the mean loss of a token over the first batches, all at once."""
    task = toy.toy_prepared(run, tmp_path / "data")
    with untouched():
        seed_all(run.training.seed, 0, 0)
        model = build(run.model)
    batches = Batches(task)
    total, n_tokens = torch.zeros(()), 0
    for i in range(n_batches):
        loss = task.loss(model, batches[Position(0, i)])
        total, n_tokens = total + loss.loss, n_tokens + loss.n_predicted
    (total / n_tokens).backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize(("accumulate", "clip_norm"), [(1, None), (1, 0.01), (3, None), (3, 0.01)])
def test_the_gradient_is_that_of_all_tokens_of_the_step(
    toy: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    accumulate: int,
    clip_norm: float | None,
) -> None:
    run = toy.toy_run(max_steps=1, accumulate=accumulate, clip_norm=clip_norm, dropout=0.0)
    found: dict[str, torch.Tensor] = {}
    original = module.TrainingModule.on_before_optimizer_step

    def watching(self: module.TrainingModule, optimizer: torch.optim.Optimizer) -> None:
        original(self, optimizer)
        found.update({n: p.grad.clone() for n, p in self.model.named_parameters() if p.grad is not None})

    monkeypatch.setattr(module.TrainingModule, "on_before_optimizer_step", watching)
    fit(run, tmp_path, resume=False, progress=False)
    expected = reference_gradient(toy, run, accumulate, tmp_path)
    norm = get_total_norm(list(expected.values())).item()
    assert records(tmp_path, "train")[0]["gradient_norm"] == pytest.approx(norm, rel=1e-5)
    scale = 1.0 if clip_norm is None else clip_norm / norm
    assert set(found) == set(expected)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient * scale, rtol=1e-5, atol=1e-7)


def test_the_recorded_loss_is_the_mean_of_a_token(toy: ModuleType, tmp_path: Path) -> None:
    run = toy.toy_run(max_steps=2, accumulate=3, dropout=0.0, schedule={"type": "constant", "lr": 1e-30})
    fit(run, tmp_path, resume=False, progress=False)
    task = toy.toy_prepared(run, tmp_path / "data")
    model = build(run.model)
    model.load_state_dict(load_weights(tmp_path, "last"))
    batches = Batches(task)
    losses = [task.loss(model, batches[Position(0, i)]) for i in range(6)]
    n_tokens = sum(loss.n_predicted for loss in losses)
    (record,) = records(tmp_path, "train")
    assert record["n_tokens"] == n_tokens
    assert record["loss"] == pytest.approx(sum(loss.loss.item() for loss in losses) / n_tokens, rel=1e-5)
    assert record["nll"] == pytest.approx(sum(loss.nll.item() for loss in losses) / n_tokens, rel=1e-5)


# Broken steps


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_step_with_a_gradient_that_is_no_number_is_skipped_and_counted(
    toy: ModuleType, tmp_path: Path, accumulate: int
) -> None:
    run = toy.toy_run(task={"bad_from": 3, "n_bad": 1}, accumulate=accumulate, log_every=1)
    result = fit(run, tmp_path, resume=False, progress=False)
    assert result.n_skipped == 1
    assert all(torch.isfinite(tensor).all() for tensor in load_weights(tmp_path, "last").values())
    optimizer = Checkpoints(tmp_path / "checkpoints").state(10)["optimizer"]
    assert {state["step"].item() for state in optimizer["state"].values()} == {9.0}
    train = records(tmp_path, "train")
    skipped = [record for record in train if record["gradient_norm"] is None]
    assert len(skipped) == 1
    assert [record["n_skipped"] for record in train].count(0) == skipped[0]["step"] - 1
    # Of an accumulated step the sound batch still counts in the record.
    assert (skipped[0]["loss"] is None) == (accumulate == 1)


def test_too_many_in_a_row_are_a_divergence(toy: ModuleType, tmp_path: Path) -> None:
    run = toy.toy_run(task={"bad_from": 7}, max_skipped_steps=2, validate_every=100)
    with pytest.raises(
        DivergedError, match="up to step 9, 2 gradients in a row were not finite; step 6 is saved"
    ):
        fit(run, tmp_path, resume=False, progress=False)
    assert all(torch.isfinite(tensor).all() for tensor in load_weights(tmp_path, "last").values())
    with pytest.raises(DivergedError, match="up to step 9, 2 gradients"):  # counted over the resume
        fit(run, tmp_path, resume=True, progress=False)


# Signals


@pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGTERM, PreemptedError), (signal.SIGINT, KeyboardInterrupt)]
)
@pytest.mark.parametrize("accumulate", [1, 3])
def test_a_signal_stops_within_a_step_after_saving(
    toy: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
    error: type[BaseException],
    accumulate: int,
) -> None:
    handlers = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    run = toy.toy_run(accumulate=accumulate)
    with monkeypatch.context() as patch:
        patch.setattr(keeper.Keeper, "_count", at_step(5, lambda _: os.kill(os.getpid(), number)))
        with pytest.raises(error):
            fit(run, tmp_path / "run", resume=False, progress=False)
    assert Checkpoints(tmp_path / "run" / "checkpoints").steps()[-1] == 6
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == handlers
    fit(run, tmp_path / "run", resume=True, progress=False)
    fit(run, tmp_path / "alone", resume=False, progress=False)
    found, expected = (load_weights(tmp_path / name, 10) for name in ("run", "alone"))
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_signal_cuts_a_validation_short_which_the_resumed_run_does_first(
    toy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = toy.toy_run()
    original = toy.Toy.predict

    def predict(self: Any, model: Any, batch: Any, **more: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return original(self, model, batch, **more)

    with monkeypatch.context() as patch:
        patch.setattr(toy.Toy, "predict", predict)
        with pytest.raises(PreemptedError):
            fit(run, tmp_path / "run", resume=False, progress=False)
    assert Checkpoints(tmp_path / "run" / "checkpoints").steps() == [3, 4]
    assert records(tmp_path / "run", "validation") == []
    fit(run, tmp_path / "run", resume=True, progress=False)
    fit(run, tmp_path / "alone", resume=False, progress=False)
    found, expected = (
        [(r["kind"], r["step"], r["loss"]) for r in read(tmp_path / name)] for name in ("run", "alone")
    )
    assert found == expected


def test_a_second_interrupt_ends_at_once(
    toy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def twice(_: keeper.Keeper) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(keeper.Keeper, "_count", at_step(5, twice))
    with pytest.raises(KeyboardInterrupt):
        fit(toy.toy_run(), tmp_path, resume=False, progress=False)
    assert Checkpoints(tmp_path / "checkpoints").steps() == [3, 4]


def test_a_signal_before_training_ends_at_once(
    toy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepare(task: Any, **more: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("the signal was not noticed")

    monkeypatch.setattr("zoo.training.fit.prepare", prepare)
    with pytest.raises(PreemptedError):
        fit(toy.toy_run(), tmp_path, resume=False, progress=False)


# The clock


def test_time_ends_a_training_with_everything_an_end_has(toy: ModuleType, tmp_path: Path) -> None:
    run = toy.toy_run(max_minutes=1e-6, average_last=2)
    result = fit(run, tmp_path, resume=False, progress=False)
    assert result.step == 1
    assert [(record["kind"], record["step"]) for record in read(tmp_path)] == [
        ("train", 1),
        ("validation", 1),
    ]
    assert result.weights.name == "step-1-average-1"
    assert fit(run, tmp_path, resume=True, progress=False).step == 1
    assert fit(toy.toy_run(average_last=2), tmp_path, resume=True, progress=False).step == 10


def test_time_is_counted_over_resumes(toy: ModuleType, tmp_path: Path) -> None:
    first = fit(toy.toy_run(max_steps=3), tmp_path, resume=False, progress=False)
    second = fit(toy.toy_run(max_steps=6), tmp_path, resume=True, progress=False)
    assert second.minutes > first.minutes > 0
    times = [record["seconds"] for record in read(tmp_path)]
    assert times == sorted(times)


# The folder


def test_a_folder_with_a_run_is_not_trained_in_anew(toy: ModuleType, tmp_path: Path) -> None:
    fit(toy.toy_run(max_steps=1), tmp_path, resume=False, progress=False)
    with pytest.raises(RunError, match="holds a run already"):
        fit(toy.toy_run(), tmp_path, resume=False, progress=False)


def test_a_folder_of_something_else_is_left_alone(toy: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("...")
    with pytest.raises(RunError, match=r"no run, but not empty: it holds thesis\.txt"):
        fit(toy.toy_run(), tmp_path, resume=False, progress=False)
    assert not (tmp_path / "checkpoints").exists()


def test_a_run_that_failed_before_its_first_step_may_be_started_again(
    toy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("zoo.training.fit.prepare", lambda task, **more: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            fit(toy.toy_run(seed=3), tmp_path, resume=False, progress=False)
    fit(toy.toy_run(), tmp_path, resume=False, progress=False)
    assert "seed: 2" in (tmp_path / "spec.yaml").read_text()


def test_the_tokenizer_of_a_failed_attempt_is_not_used(toy: ModuleType, tmp_path: Path) -> None:
    for name in ("spec.yaml", "tokenizer.json", "tokenizer.model"):
        (tmp_path / name).write_text("of other text")
    fit(toy.toy_run(max_steps=1), tmp_path, resume=False, progress=False)
    assert not list(tmp_path.glob("tokenizer*"))


@pytest.mark.parametrize("has_checkpoint", [False, True])
def test_only_a_run_with_a_checkpoint_must_find_its_tokenizer(
    toy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_checkpoint: bool
) -> None:
    fit(toy.toy_run(max_steps=1), tmp_path, resume=False, progress=False)
    if not has_checkpoint:
        shutil.rmtree(tmp_path / "checkpoints")
    seen: list[bool] = []
    original = prepared.prepare

    def prepare(task: Any, **more: Any) -> Any:
        seen.append(more["is_resumed"])
        return original(task, **more)

    monkeypatch.setattr("zoo.training.fit.prepare", prepare)
    fit(toy.toy_run(max_steps=2), tmp_path, resume=True, progress=False)
    assert seen == [has_checkpoint]


def test_a_run_that_was_cut_off_before_its_first_checkpoint_is_resumed_from_the_start(
    toy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(keeper.Keeper, "_count", at_step(2, lambda _: 1 // 0))
        with pytest.raises(ZeroDivisionError):
            fit(toy.toy_run(), tmp_path, resume=False, progress=False)
    assert fit(toy.toy_run(), tmp_path, resume=True, progress=False).step == 10


def test_there_must_be_something_to_resume(toy: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no run to resume here"):
        fit(toy.toy_run(), tmp_path, resume=True, progress=False)
    with pytest.raises(RunError, match="no run to resume here"):
        fit(toy.toy_run(), tmp_path / "none", resume=True, progress=False)


def test_a_folder_that_cannot_be_made_is_an_error(toy: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be made"):
        fit(toy.toy_run(), tmp_path / "file" / "run", resume=False, progress=False)


def test_a_disk_that_fills_up_ends_the_run_and_room_lets_it_go_on(
    toy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = checkpoints.write_weights

    def full(path: Path, weights: Any) -> None:
        if "step-6" in str(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        original(path, weights)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "write_weights", full)
        with pytest.raises(RunError, match=r"step-6: cannot be written: No space left on device; earlier"):
            fit(toy.toy_run(), tmp_path, resume=False, progress=False)
    assert Checkpoints(tmp_path / "checkpoints").newest_intact() == (4, [])
    assert fit(toy.toy_run(), tmp_path, resume=True, progress=False).step == 10


def test_a_record_that_cannot_be_written_ends_the_run(
    toy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(kept: keeper.Keeper) -> None:
        os.close(kept.journal._file.fileno())  # type: ignore[union-attr]

    monkeypatch.setattr(keeper.Keeper, "_count", at_step(5, full))
    with pytest.raises(RunError, match=r"metrics\.jsonl: cannot be written"):
        fit(toy.toy_run(), tmp_path, resume=False, progress=False)


def test_a_device_that_is_not_there_is_refused_by_name(toy: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"training\.accelerator: torch sees no 'mps' device here"):
        fit(toy.toy_run(accelerator="mps"), tmp_path / "run", resume=False, progress=False)
    assert not (tmp_path / "run").exists()


# The rest


def test_lightning_says_nothing_of_its_own(
    toy: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    # In a process of its own: here, what lightning's logger writes goes where pytest looked at its import.
    command = [sys.executable, str(Path(__file__).with_name("ranks.py")), str(tmp_path / "quiet"), "{}"]
    subprocess.run(command, check=True)
    assert capfd.readouterr() == ("", "")
    fit(toy.toy_run(), tmp_path / "shown", resume=False, progress=True)
    captured = capfd.readouterr()
    assert captured.out == ""
    example, plan, *lines = captured.err.splitlines()
    assert example == "the first example: a sentence → ecnetnes a"
    assert plan.startswith("about ")
    assert plan.endswith(" for 10 steps")
    assert lines
    assert all(line.startswith("step ") for line in lines)
    assert "BLEU" in lines[-1]
    assert "tokens/s" in lines[0]
    assert sum("BLEU" in line for line in lines) == 3  # each validation once


def test_only_our_keeper_runs_beside_the_loop(
    toy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[lightning.pytorch.Trainer] = []
    monkeypatch.setattr(keeper.Keeper, "on_train_end", lambda self, trainer, module: seen.append(trainer))
    fit(toy.toy_run(max_steps=1), tmp_path, resume=False, progress=False)
    assert [type(callback) for callback in seen[0].callbacks] == [keeper.Keeper]  # type: ignore[attr-defined]


def test_settings_of_torch_are_as_before(toy: ModuleType, tmp_path: Path) -> None:
    before = torch.get_float32_matmul_precision(), torch.are_deterministic_algorithms_enabled()
    fit(toy.toy_run(max_steps=1, deterministic=True, tf32=True), tmp_path, resume=False, progress=False)
    assert (torch.get_float32_matmul_precision(), torch.are_deterministic_algorithms_enabled()) == before


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.filterwarnings("ignore")  # torch warns of what its own compiler does
def test_compiled_layers_learn_the_same(toy: ModuleType, tmp_path: Path) -> None:
    losses = {}
    for name, compiled in (("eager", False), ("compiled", True)):
        run = toy.toy_run(compile=compiled, dropout=0.0, max_steps=4)
        fit(run, tmp_path / name, resume=False, progress=False)
        losses[name] = [record["loss"] for record in read(tmp_path / name)]
        # In place: the names in the state dict are those of the plain model.
        build(run.model).load_state_dict(load_weights(tmp_path / name))
    assert losses["compiled"] == pytest.approx(losses["eager"], rel=1e-3)
