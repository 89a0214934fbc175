"""Doing a plan: what is trained, tuned, tried again, refused; nothing here is really trained."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.ablation.pretending import Pretended, outcomes, plan_of, small
from zoo.ablation.plan import Plan, Trial
from zoo.ablation.planning import make_plan
from zoo.ablation.running import NOTHING_TO_CHOOSE, run_plan, tuned
from zoo.ablation.spec import read
from zoo.ablation.trial import Outcome, outcome, record_of
from zoo.errors import PreemptedError, RunError
from zoo.storage.ownership import owned

LR = "training.schedule.peak_lr"
TUNE = {LR: [0.001, 0.003, 0.01]}


def rate(trial: Trial) -> float:
    return float(trial.tried[0].partition("=")[2])


def test_what_has_ended_is_not_trained_again(tmp_path: Path) -> None:
    plan, engine = plan_of(), Pretended()
    run_plan(plan, tmp_path, engine)
    assert engine.seen == plan.trials
    run_plan(plan, tmp_path, engine)
    assert engine.seen == plan.trials


def test_what_has_failed_is_tried_again_and_what_has_diverged_is_not(tmp_path: Path) -> None:
    ends = {"one_head": Outcome("failed", "no luck"), "shallow": Outcome("diverged", "too fast")}
    plan, first = plan_of(), Pretended(ends=lambda trial: ends.get(trial.variant, Outcome("done")))
    run_plan(plan, tmp_path, first)
    assert first.seen == plan.trials  # the others go on
    assert outcomes(plan, tmp_path)["one_head, seed 1"] == "failed"
    second = Pretended()
    run_plan(plan, tmp_path, second)
    assert [trial.name for trial in second.seen] == ["one_head, seed 1", "one_head, seed 2"]
    assert outcomes(plan, tmp_path) == {
        trial.name: "diverged" if trial.variant == "shallow" else "done" for trial in plan.trials
    }


def test_more_seeds_and_variants_later_train_only_those(tmp_path: Path) -> None:
    run_plan(plan_of(seeds=[1]), tmp_path, Pretended())
    engine = Pretended()
    more: dict[str, Any] = {**small()["variants"], "deep": {"model.decoder.n_layers": 3}}
    run_plan(plan_of(seeds=[1, 2], variants=more), tmp_path, engine)
    assert [each.name for each in engine.seen] == [
        "deep, seed 1",
        *(f"{name}, seed 2" for name in ("base", "one_head", "shallow", "deep")),
    ]


def test_what_a_variant_tunes_best_is_what_it_is_trained_with(tmp_path: Path) -> None:
    best = {"base": 0.001, "one_head": 0.01, "shallow": 0.003}
    plan = plan_of(tune=TUNE)
    engine = Pretended(losses=lambda trial: abs(rate(trial) - best[trial.variant]) if trial.tried else 1.0)
    run_plan(plan, tmp_path, engine)
    assert engine.seen == [*plan.tuning, *plan.trials]
    for trial in plan.trials:
        assert tuned(tmp_path, trial.variant) == (f"{LR}={best[trial.variant]}",)
        assert engine.runs[trial].training.schedule.peak_lr == best[trial.variant]  # type: ignore[union-attr]


@pytest.mark.parametrize("bad", [Outcome("diverged", "nan"), Outcome("failed", "broken"), None])
def test_what_has_not_come_to_its_end_is_never_chosen(tmp_path: Path, bad: Outcome | None) -> None:
    """Also where it looks best; without a record, a validation that is not finite."""

    def ends(trial: Trial) -> Outcome:
        return bad if bad is not None and trial.tried and rate(trial) == 0.001 else Outcome("done")

    def loss(trial: Trial) -> float | None:
        is_bad = trial.tried and rate(trial) == 0.001
        return (None if bad is None else 0.1) if is_bad else 2.0

    run_plan(plan_of(tune=TUNE), tmp_path, Pretended(ends=ends, losses=loss))
    assert tuned(tmp_path, "base") == (f"{LR}=0.003",)


def test_a_variant_that_nothing_can_be_chosen_for_has_failed_and_the_others_go_on(tmp_path: Path) -> None:
    plan = plan_of(tune=TUNE)

    def ends(trial: Trial) -> Outcome:
        return Outcome("failed", "x") if trial.tried and trial.variant == "shallow" else Outcome("done")

    run_plan(plan, tmp_path, Pretended(ends=ends))
    assert outcome(tmp_path, Trial("shallow", 1)) == Outcome("failed", NOTHING_TO_CHOOSE)
    assert outcomes(plan, tmp_path)["one_head, seed 2"] == "done"
    engine = Pretended()  # and is tried again, tuning and all
    run_plan(plan, tmp_path, engine)
    assert [trial.variant for trial in engine.seen] == ["shallow"] * 5
    assert set(outcomes(plan, tmp_path).values()) == {"done"}


def test_a_choice_stays_whatever_is_tried_again(tmp_path: Path) -> None:
    plan = plan_of(tune=TUNE)

    def ends(trial: Trial) -> Outcome:
        return Outcome("failed", "x") if trial.tried and rate(trial) == 0.001 else Outcome("done")

    run_plan(plan, tmp_path, Pretended(ends=ends))
    engine = Pretended()
    run_plan(plan, tmp_path, engine)
    assert engine.seen == []
    assert tuned(tmp_path, "base") == (f"{LR}=0.003",)


def test_a_choice_among_other_values_is_refused(tmp_path: Path) -> None:
    run_plan(plan_of(tune=TUNE), tmp_path, Pretended())
    with pytest.raises(RunError, match=r"base/tuned.json: was chosen among other values"):
        run_plan(plan_of(tune={LR: [0.1]}), tmp_path, Pretended())


@pytest.mark.parametrize("is_done", [True, False])
def test_another_spec_in_the_same_folder_is_refused_by_name(tmp_path: Path, is_done: bool) -> None:
    """Also where a training has only begun: it would go on with its own spec."""
    run_plan(plan_of(), tmp_path, Pretended())
    if not is_done:
        record_of(tmp_path, Trial("shallow", 2)).unlink()
    variants = {**small()["variants"], "shallow": {"model.decoder.n_layers": 3}}
    engine = Pretended()
    with pytest.raises(
        RunError, match=r"runs/shallow/seed-1: was trained by another spec than what shallow, seed 1"
    ):
        run_plan(plan_of(variants=variants), tmp_path, engine)
    assert engine.seen == []


def test_a_folder_that_another_process_works_in_is_refused(tmp_path: Path) -> None:
    with owned(tmp_path), pytest.raises(RunError, match="in use by process"):
        run_plan(plan_of(), tmp_path, Pretended())


def test_reports_come_before_and_after_each_training(tmp_path: Path) -> None:
    told: list[tuple[str, str | None]] = []
    run_plan(
        plan_of(seeds=[1], variants={"shallow": {"model.decoder.n_layers": 1}}),
        tmp_path,
        Pretended(),
        report=lambda trial, found: told.append((trial.variant, found and found.status)),
    )
    assert told == [("base", None), ("base", "done"), ("shallow", None), ("shallow", "done")]


class Slow(Pretended):
    """Trains until it is told to end; a signal arrives while it does."""

    def __init__(self, number: int) -> None:
        super().__init__(n_slots=2)
        self.number = number
        self.told: list[Trial] = []

    def submit(self, job: Any, run: Any, slot: int) -> Any:
        self.seen.append(job.trial)
        if len(self.seen) == 2:
            os.kill(os.getpid(), self.number)
        return _Under(self, job.trial)


class _Under:
    def __init__(self, engine: Slow, trial: Trial) -> None:
        self.engine, self.trial = engine, trial

    def done(self) -> bool:
        return self.trial in self.engine.told

    def result(self) -> None:
        return None

    def cancel(self) -> None:
        self.engine.told.append(self.trial)


@pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGTERM, PreemptedError), (signal.SIGINT, KeyboardInterrupt)]
)
def test_a_signal_tells_all_trainings_to_end_and_waits_for_them(
    tmp_path: Path, number: int, error: type[BaseException]
) -> None:
    plan, engine = plan_of(), Slow(number)
    handler = signal.signal(
        number, signal.SIG_DFL
    )  # whatever the tests themselves were started with, as by nohup
    try:
        with pytest.raises(error):
            run_plan(plan, tmp_path, engine)
    finally:
        signal.signal(number, handler)
    assert engine.seen == engine.told == plan.trials[:2]
    assert set(outcomes(plan, tmp_path).values()) == {None}
    again = Pretended()
    run_plan(plan, tmp_path, again)
    assert again.seen == plan.trials


def test_a_cluster_that_preempts_is_handed_the_training_again(tmp_path: Path) -> None:
    ends = iter([None, Outcome("done")])
    plan: Plan = make_plan(read(small(seeds=[1], variants={"shallow": {"model.decoder.n_layers": 1}})))
    engine = Pretended(ends=lambda trial: next(ends, Outcome("done")))
    engine.restarts = True
    run_plan(plan, tmp_path, engine)
    assert [each.variant for each in engine.seen] == ["base", "base", "shallow"]


def test_a_machine_that_goes_down_ends_the_ablation(tmp_path: Path) -> None:
    with pytest.raises(
        PreemptedError, match="base, seed 1: told to end, and saved; the same command goes on"
    ):
        run_plan(plan_of(), tmp_path, Pretended(ends=lambda trial: None))
