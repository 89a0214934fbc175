"""What is settled and said before the first step: the precision, a step's time, where a schedule ends."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import torch.testing

import presets
from registry import check, parse
from zoo import hardware
from zoo.assembly.build import build
from zoo.errors import RunError
from zoo.kinds import SCHEDULE
from zoo.storage.metrics import read
from zoo.training import fit as fit_module
from zoo.training.fit import fit
from zoo.training.plan import Plan, duration, seconds_a_batch
from zoo.training.settling import device_name, settle_end, settle_precision
from zoo.training.spec import TrainingSpec

LINEAR = {"type": "linear", "peak_lr": 1e-3, "warmup_steps": 2}


def spec(**training: Any) -> TrainingSpec:
    return parse(TrainingSpec, training)


def rates(folder: Path) -> list[float]:
    return [record["learning_rate"] for record in read(folder) if record["kind"] == "train"]  # type: ignore[misc]


@pytest.mark.parametrize("value", ["fp32", "bf16-mixed"])
def test_auto_precision_is_settled_into_the_runs_spec(
    toy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setattr(hardware, "precision", lambda device: hardware.Choice(value, "so it is here"))
    fit(toy.toy_run(precision="auto", max_steps=2), tmp_path, resume=False, progress=False)
    assert presets.read(tmp_path / "spec.yaml").data["training"]["precision"] == value


def test_a_run_keeps_its_precision_on_another_machine(
    toy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(hardware, "multiplies_bf16", lambda device="cpu": True)
    fit(toy.toy_run(precision="auto", max_steps=2), tmp_path, resume=False, progress=False)
    assert not caplog.records
    monkeypatch.setattr(hardware, "multiplies_bf16", lambda device="cpu": False)
    run = parse(toy.ToyRun, presets.read(tmp_path / "spec.yaml", overrides=["training.max_steps=4"]).data)
    fit(run, tmp_path, resume=True, progress=False)
    assert presets.read(tmp_path / "spec.yaml").data["training"]["precision"] == "bf16-mixed"
    assert "bfloat16 is emulated here" in caplog.text  # obeyed, after one line


def test_a_precision_that_is_said_is_obeyed(toy: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "multiplies_bf16", lambda device="cpu": False)
    run = toy.toy_run(precision="bf16-mixed")
    assert settle_precision(run)[0] is run


def test_measuring_a_step_changes_nothing(toy: ModuleType, tmp_path: Path) -> None:
    run = toy.toy_run()
    task = toy.toy_prepared(run, tmp_path / "data")
    torch.manual_seed(7)
    model = build(run.model)
    model.register_buffer("count", torch.tensor(0))

    def count(module: torch.nn.Module, inputs: Any) -> None:
        model.count.add_(1)

    model.encoder.register_forward_pre_hook(count)
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    torch.manual_seed(7)
    before = torch.rand(1)
    torch.manual_seed(7)
    seconds = seconds_a_batch(model, task, [task.batch(key) for key in task.epoch(0)[:3]])
    assert 0 < seconds < 60
    assert torch.equal(torch.rand(1), before)
    assert all(parameter.grad is None for parameter in model.parameters())
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, weights[name]), name


def test_as_many_steps_are_planned_as_the_time_holds() -> None:
    """0.5 minutes, nine tenths for steps: 27 s; a step of two batches of 1 s, and a tenth: 2.2 s."""
    plan = Plan(spec(max_minutes=0.5, accumulate=2, schedule=LINEAR), 1.0)
    assert plan.n_steps == 12
    assert plan.text() == (
        "about 2.2 s a step, 2.5 days for 100,000 steps; max_minutes 0.5 holds 12: the schedule ends there"
    )
    assert plan.warning() is None


def test_one_is_no_plural(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan(spec(max_steps=1), 1.0)
    assert plan.text() == "about 1.1 s a step, 1.1 s for 1 step"
    assert "is not less than the 1 step there will be" in (plan.warning() or "")
    for n, text in ((1, "1 thread"), (2, "2 threads")):
        monkeypatch.setattr(torch, "get_num_threads", lambda n=n: n)
        assert device_name(torch.device("cpu")).endswith(f", {text}")


def test_a_schedule_without_an_end_is_only_cut_off() -> None:
    plan = Plan(spec(max_minutes=0.5), 2.0)
    assert plan.text().endswith("max_minutes 0.5 holds 12: training ends about there")
    assert "warmup_steps (4,000) is not less than the 12 steps" in (plan.warning() or "")


def test_a_plan_with_time_enough_is_the_specs_own() -> None:
    plan = Plan(spec(max_minutes=60, max_steps=20, schedule=LINEAR), 1.0)
    assert plan.n_steps == 20
    assert plan.text() == "about 1.1 s a step, 22 s for 20 steps"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.1834, "0.18 s"), (12.4, "12 s"), (89, "89 s"), (270, "4.5 minutes"), (3600, "60 minutes"),
     (9000, "2.5 hours"), (10**6, "12 days")],
)  # fmt: skip
def test_durations_are_read_at_a_glance(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_an_open_end_is_settled_where_the_time_ends_and_written_down(
    toy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit_module, "seconds_a_batch", lambda *_, **__: 1.0)
    run = toy.toy_run(max_steps=50, max_minutes=0.13, schedule=LINEAR, log_every=1)  # 7.02 s at 1.1 s
    result = fit(run, tmp_path, resume=False, progress=False)
    assert result.step == 6  # where the rate has fallen to 0
    training = presets.read(tmp_path / "spec.yaml").data["training"]
    assert (training["max_steps"], training["schedule"]["total_steps"]) == (50, 6)
    assert rates(tmp_path) == pytest.approx([0.5e-3, 1e-3, 0.75e-3, 0.5e-3, 0.25e-3, 0.0])


def test_without_a_limit_of_time_a_schedule_ends_with_the_steps(toy: ModuleType, tmp_path: Path) -> None:
    fit(toy.toy_run(max_steps=4, schedule=LINEAR), tmp_path, resume=False, progress=False)
    assert presets.read(tmp_path / "spec.yaml").data["training"]["schedule"]["total_steps"] == 4


def test_more_steps_than_the_schedule_has_are_refused_with_the_way_out(
    toy: ModuleType, tmp_path: Path
) -> None:
    fit(toy.toy_run(max_steps=4, schedule=LINEAR), tmp_path, resume=False, progress=False)
    longer = toy.toy_run(max_steps=8, schedule={**LINEAR, "total_steps": 4})
    with pytest.raises(
        RunError, match=r"ends at step 4 with a rate of 0.*training\.schedule\.total_steps=8 as well"
    ):
        fit(longer, tmp_path, resume=True, progress=False)
    assert "max_steps: 4" in (tmp_path / "spec.yaml").read_text()


def test_a_schedule_is_stretched_by_name_and_that_is_said(
    toy: ModuleType, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fit(toy.toy_run(max_steps=4, schedule=LINEAR, log_every=1), tmp_path, resume=False, progress=False)
    stretched = toy.toy_run(max_steps=8, schedule={**LINEAR, "total_steps": 8}, log_every=1)
    assert fit(stretched, tmp_path, resume=True, progress=False).step == 8
    assert "total_steps is now 8 instead of 4" in caplog.text
    assert rates(tmp_path)[4:] == pytest.approx([1e-3 * (8 - step) / 6 for step in (5, 6, 7, 8)])


def test_a_resumed_run_keeps_the_end_it_began_with(toy: ModuleType, tmp_path: Path) -> None:
    """max_steps alone is raised where the rate does not fall to 0: the floor goes on."""
    schedule = {**LINEAR, "floor_lr": 1e-4}
    fit(toy.toy_run(max_steps=4, schedule=schedule, log_every=1), tmp_path, resume=False, progress=False)
    fit(toy.toy_run(max_steps=6, schedule=schedule, log_every=1), tmp_path, resume=True, progress=False)
    assert rates(tmp_path)[3:] == pytest.approx([1e-4, 1e-4, 1e-4])
    assert presets.read(tmp_path / "spec.yaml").data["training"]["schedule"]["total_steps"] == 4


def test_a_schedule_ends_where_it_was_told_to_though_its_warm_up_does_not(toy: ModuleType) -> None:
    run = settle_end(toy.toy_run(schedule={**LINEAR, "warmup_steps": 9}), 5)
    assert run.training.last_step == 5
    schedule = SCHEDULE.build(run.training.schedule, d_model=8, max_steps=50)
    assert [schedule(step) for step in (5, 6, 9)] == pytest.approx([5e-3 / 9, 0.0, 0.0])
    assert not check(run.training, "training")


def test_a_few_slow_batches_do_not_make_the_estimate(
    toy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of six batches after the first, those that a busy machine held up do not count."""
    clock = iter([0.0, *(t for start, length in
                  [(0, 9), (10, 0.25), (20, 3), (30, 0.25), (40, 2), (50, 0.25), (60, 1)]
                  for t in (start, start + length, 0.0))])  # fmt: skip
    monkeypatch.setattr("zoo.training.plan.time.perf_counter", lambda: next(clock))
    run = toy.toy_run()
    task = toy.toy_prepared(run, tmp_path / "data")
    batches = [task.batch(key) for key in task.epoch(0)]
    assert seconds_a_batch(build(run.model), task, batches) == pytest.approx(0.25)


def test_a_run_without_time_still_takes_a_step_and_has_a_result(toy: ModuleType, tmp_path: Path) -> None:
    result = fit(
        toy.toy_run(max_minutes=1e-12, average_last=2, keep_checkpoints=2),
        tmp_path,
        resume=False,
        progress=False,
    )
    assert (result.step, result.weights.name) == (1, "step-1-average-1")
