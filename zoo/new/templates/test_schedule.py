"""What this schedule promises."""

import pytest
from zoo.kinds import SCHEDULE

from my_part import MyPartSpec


def test_rates_rise_to_the_peak_and_halve_from_there() -> None:
    spec = MyPartSpec(peak_lr=0.8, warmup_steps=4, half_life=2)
    schedule = SCHEDULE.build(spec, d_model=8, max_steps=9)
    rates = [schedule(step) for step in (1, 2, 4, 6, 8)]
    assert rates == pytest.approx([0.2, 0.4, 0.8, 0.4, 0.2])


def test_without_a_warm_up_the_first_step_is_below_the_peak_already() -> None:
    schedule = SCHEDULE.build(MyPartSpec(warmup_steps=0), d_model=8, max_steps=9)
    assert 0 < schedule(2) < schedule(1) < MyPartSpec().peak_lr
