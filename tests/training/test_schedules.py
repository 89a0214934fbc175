from __future__ import annotations

import math
from typing import Any

import pytest

from registry import SpecError, check, parse
from zoo.kinds import SCHEDULE
from zoo.training.spec import TrainingSpec


def rate(step: int, *, d_model: int = 512, max_steps: int = 100, **spec: Any) -> float:
    schedule = parse(TrainingSpec, {"schedule": spec}).schedule
    value = SCHEDULE.build(schedule, d_model=d_model, max_steps=max_steps)(step)
    assert isinstance(value, float)
    return value


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        # 512^-0.5 = 0.0441942; 4000^-1.5 = 3.95285e-6: by hand from the paper's equation 3.
        (1, 1.746928e-7),
        (1000, 1.746928e-4),
        (4000, 6.987712e-4),
        (16000, 3.493856e-4),
        (100_000, 1.397542e-4),
    ],
)
def test_noam_is_the_papers_equation(step: int, expected: float) -> None:
    assert rate(step, type="noam", warmup_steps=4000) == pytest.approx(expected, rel=1e-6)


def test_noam_scales_with_its_factor_and_width() -> None:
    assert rate(3, type="noam", factor=2.0) == pytest.approx(2 * rate(3, type="noam"))
    assert rate(3, type="noam", d_model=128) == pytest.approx(2 * rate(3, type="noam"))


@pytest.mark.parametrize(
    ("step", "expected"), [(1, 1.4e-3 / 800), (400, 7e-4), (800, 1.4e-3), (3200, 7e-4), (20_000, 2.8e-4)]
)
def test_inverse_sqrt_rises_to_its_peak_and_falls_as_a_root(step: int, expected: float) -> None:
    found = rate(step, type="inverse_sqrt", peak_lr=1.4e-3, warmup_steps=800)
    assert found == pytest.approx(expected, rel=1e-12)


def test_noam_is_inverse_sqrt_with_another_name_for_the_peak() -> None:
    peak = (512 * 700) ** -0.5
    for step in (1, 699, 700, 701, 5000):
        left = rate(step, type="noam", warmup_steps=700)
        assert left == pytest.approx(rate(step, type="inverse_sqrt", peak_lr=peak, warmup_steps=700))


@pytest.mark.parametrize(("step", "expected"), [(1, 5e-4), (2, 1e-3), (3, 1e-3), (10**6, 1e-3)])
def test_constant_stays(step: int, expected: float) -> None:
    assert rate(step, type="constant", lr=1e-3, warmup_steps=2) == pytest.approx(expected)
    assert rate(step, type="constant", lr=1e-3) == 1e-3


@pytest.mark.parametrize(
    ("step", "expected"),
    [(1, 0.1), (10, 1.0), (55, 0.6), (100, 0.2), (101, 0.2)],  # at 55 half of the way from 10 to 100
)
def test_linear_falls_in_a_straight_line_to_its_floor(step: int, expected: float) -> None:
    assert rate(step, type="linear", peak_lr=1.0, warmup_steps=10, floor_lr=0.2) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("step", "expected"),
    # At a third of the way (40) the cosine has fallen by a quarter: (1 + cos(60°)) / 2 = 3/4.
    [(5, 0.5), (10, 1.0), (40, 0.2 + 0.8 * 0.75), (55, 0.6), (70, 0.4), (100, 0.2), (150, 0.2)],
)
def test_cosine_falls_in_half_a_wave_to_its_floor(step: int, expected: float) -> None:
    assert rate(step, type="cosine", peak_lr=1.0, warmup_steps=10, floor_lr=0.2) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_a_warm_up_longer_than_the_training_ends_with_it(name: str) -> None:
    assert rate(20, type=name, peak_lr=1.0, warmup_steps=40, max_steps=20) == 0.5
    assert rate(21, type=name, peak_lr=1.0, warmup_steps=40, max_steps=20) == 0.0


def test_every_schedule_is_positive_and_finite_from_the_first_step() -> None:
    for name in SCHEDULE.names():
        for spec in SCHEDULE.examples(name):
            schedule = SCHEDULE.build(spec, d_model=6, max_steps=11)
            assert all(0 < schedule(step) < math.inf for step in range(1, 30))


def test_a_floor_above_the_peak_is_refused_with_its_path() -> None:
    with pytest.raises(SpecError, match=r"schedule: floor_lr \(0\.1\) must be at most peak_lr \(0\.01\)"):
        parse(
            TrainingSpec, {"schedule": {"type": "linear", "peak_lr": 0.01, "floor_lr": 0.1}}, path="training"
        )


def test_the_examples_pass_their_own_check() -> None:
    for name in SCHEDULE.names():
        for spec in SCHEDULE.examples(name):
            assert check(spec, name) == []


@pytest.mark.parametrize(("form", "halfway"), [("linear", 0.5), ("one_minus_sqrt", 1 - 0.5**0.5)])
def test_warmup_stable_decay_goes_up_along_and_down(form: str, halfway: float) -> None:
    spec = {
        "type": "warmup_stable_decay",
        "peak_lr": 2.0,
        "warmup_steps": 4,
        "floor_lr": 0.5,
        "decay_share": 0.4,
    }
    rate = SCHEDULE.build(
        parse(TrainingSpec, {"schedule": {**spec, "form": form, "total_steps": 20}}).schedule,
        d_model=8,
        max_steps=99,
    )
    assert [rate(step) for step in (1, 3, 4, 12)] == [0.5, 1.5, 2.0, 2.0]
    assert rate(16) == pytest.approx(0.5 + 1.5 * halfway)
    assert [rate(20), rate(21)] == pytest.approx([0.5, 0.5])
    assert all(rate(step) < 2.0 for step in range(13, 21))
