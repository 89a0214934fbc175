"""What is known before the first step: costs, budget, what so many seeds can detect, and nothing trained."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry import SpecError
from tests.ablation.pretending import plan_of
from zoo.ablation.metric import primary_metric
from zoo.ablation.plan import TUNING_SEED, Trial, slug
from zoo.ablation.spec import override_words
from zoo.ablation.telling import plan_text, trial_text
from zoo.ablation.trial import Outcome, record_of

RATES = {"training.schedule.peak_lr": [0.001, 0.003]}


def test_a_seed_of_all_variants_comes_before_the_next_seed() -> None:
    trials = plan_of().trials
    assert [(each.seed, each.variant) for each in trials] == [
        (seed, name) for seed in (1, 2) for name in ("base", "one_head", "shallow")
    ]


def test_a_trial_has_its_variants_overrides_and_its_seed_and_no_more() -> None:
    plan = plan_of()
    for trial in plan.trials:
        run = plan.run(trial)
        assert run.training.seed == trial.seed  # type: ignore[union-attr]
        assert run.model == plan.variant(trial.variant).run.model
        assert run.task == plan.base.run.task


def test_the_plan_says_costs_budget_differences_and_what_can_be_detected() -> None:
    text = plan_text(plan_of(seeds=3))
    assert text.startswith(
        "2 variants of char_gpt and the base, 3 seeds each: 9 trainings, 54 steps, up to 6,912 tok"
    )
    base, one_head, shallow = (
        line for line in text.splitlines() if line.startswith(("base", "one_", "shallow"))
    )
    assert base.split()[1] == one_head.split()[1] != shallow.split()[1]
    assert "n_heads 3 → 1" in one_head
    assert "n_layers 2 → 1" in shallow
    assert "3 seeds find a difference of 3.26 standard deviations" in text


def test_what_tuning_costs_is_in_the_plan() -> None:
    plan = plan_of(tune=RATES, tune_steps=4)
    assert "before them 6 trainings that try training.schedule.peak_lr: 24 steps" in plan_text(plan)
    assert {plan.steps(trial) for trial in plan.tuning} == {4}
    assert {plan.run(trial).training.max_steps for trial in plan.tuning} == {4}  # type: ignore[union-attr]


def test_tuning_never_takes_longer_than_the_training_that_it_is_for() -> None:
    assert {plan_of(tune=RATES).steps(trial) for trial in plan_of(tune=RATES).tuning} == {6}


@pytest.mark.parametrize(("seeds", "own"), [([1, 2], TUNING_SEED), ([0, 1, 3], 2)])
def test_tuning_has_a_seed_that_no_comparison_has(seeds: list[int], own: int) -> None:
    assert {trial.seed for trial in plan_of(tune=RATES, seeds=seeds).tuning} == {own}


def test_values_that_differ_behind_the_point_have_places_of_their_own() -> None:
    plan = plan_of(tune=RATES)
    trials = [*plan.tuning, *plan.trials]
    assert len({trial.place for trial in trials}) == len(trials)
    assert len({record_of(Path(), trial) for trial in trials}) == len(trials)


def test_a_key_to_tune_that_is_none_is_refused_before_anything_is_trained() -> None:
    with pytest.raises(SpecError, match=r"peak_lrr: variant .base.: unknown key; did you mean"):
        plan_of(tune={"training.schedule.peak_lrr": [0.1]})


def test_overrides_of_the_call_are_for_all_variants() -> None:
    from tests.ablation.pretending import small
    from zoo.ablation.ablating import plan_ablation

    plan = plan_ablation(small(), "training.max_steps=5")
    assert {each.run.training.max_steps for each in plan.variants} == {5}  # type: ignore[union-attr]


def test_values_come_back_as_they_were_through_the_words_of_overrides() -> None:
    words = override_words(
        {"a.b": "1", "a.c": 1, "a.d": None, "a.e": {"type": "x", "p": [1, "ü"]}, "a.f": True}
    )
    assert words == ('a.b="1"', "a.c=1", "a.d=null", 'a.e={"type": "x", "p": [1, "ü"]}', "a.f=true")


def test_names_become_folders() -> None:
    assert slug("heads=4 lr=1e-3") == "heads=4_lr=1e-3"
    assert slug("../ä/b") == "ä_b"
    assert slug("...") == "variant"


def test_the_metric_is_one_that_the_task_gives() -> None:
    plan, other = plan_of(), plan_of(metric="bits_per_byte")
    assert primary_metric(plan.spec, plan.base.run) == ("loss", "loss", False)
    assert primary_metric(other.spec, other.base.run)[0] == "bits_per_byte"
    with pytest.raises(SpecError, match=r"metric: .*'perplexity'"):
        plan_of(metric="perplexty")


def test_a_training_that_has_ended_says_how_long_the_rest_will_take() -> None:
    trial = Trial("wide", 3)
    assert trial_text(trial, None, number=2, n=9) == "[2/9] wide, seed 3: training"
    said = trial_text(trial, Outcome("failed", "no luck"), number=2, n=9, left_s=150.0)
    assert said == "[2/9] wide, seed 3: failed: no luck; about 2.5 minutes left"
    assert trial_text(trial, Outcome("done"), number=9, n=9, left_s=0.0) == "[9/9] wide, seed 3: done"
