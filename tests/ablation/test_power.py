"""Power against simulated experiments and the normal limit, and what is detectable against what is needed."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from zoo.ablation.power import MOST_SEEDS, chance_to_detect, detectable, seeds_needed


@pytest.mark.parametrize("n", [3, 5, 10])
@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_what_is_detectable_is_found_in_four_of_five_simulated_experiments(n, alpha):
    spread = 0.37
    difference = detectable(spread, n, alpha=alpha)
    scores = np.random.default_rng(n).normal(difference, spread, (20_000, n))
    found = stats.ttest_1samp(scores, 0, axis=1).pvalue <= alpha
    assert found.mean() == pytest.approx(0.8, abs=0.01)


def test_the_normal_limit():
    # (1.959964 + 0.841621) / sqrt(n) standard deviations, for many pairs
    assert detectable(2.0, 5000) == pytest.approx(2.0 * 2.801585 / math.sqrt(5000), rel=1e-3)


@pytest.mark.parametrize("n", [2, 3, 5, 10, 17, 200])
@pytest.mark.parametrize("power", [0.5, 0.8, 0.95])
def test_seeds_needed_is_the_inverse_of_detectable(n, power):
    difference = detectable(0.2, n, power=power)
    assert seeds_needed(difference * 1.0001, 0.2, power=power) == n
    assert seeds_needed(-difference * 0.9999, 0.2, power=power) == n + 1


def test_without_a_difference_the_chance_is_the_level_and_one_seed_finds_nothing():
    assert chance_to_detect(0.0, 1.0, 5, alpha=0.03) == pytest.approx(0.03)
    assert chance_to_detect(100.0, 1.0, 1) == 0
    assert detectable(1.0, 1) == math.inf


def test_the_chance_grows_with_the_difference_however_far_on_either_side():
    for n in (2, 3, 10, 1000):
        chances = [chance_to_detect(d, 1.0, n) for d in np.geomspace(1e-3, 1e5, 150)]
        assert all(0 <= low <= high <= 1 + 1e-12 for low, high in itertools.pairwise(chances))
        assert [chance_to_detect(-d, 1.0, n) for d in np.geomspace(1e-3, 1e5, 150)] == chances


def test_no_number_of_seeds_finds_what_is_not_there():
    assert seeds_needed(0.0, 1.0) is None
    assert seeds_needed(0.01, 1.0) is None
    assert seeds_needed(0.03, 1.0) < MOST_SEEDS


@pytest.mark.parametrize(
    ("spread", "n", "choices", "message"),
    [(0.0, 3, {}, "spread"), (math.nan, 3, {}, "spread"), (1.0, 0, {}, "1 or more seeds"),
     (1.0, 3, {"alpha": 0.0}, "alpha"), (1.0, 3, {"power": 1.0}, "power"), (1.0, 3, {"power": 0.05}, "power")],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(spread, n, choices, message):
    with pytest.raises(ValueError, match=message):
        detectable(spread, n, **choices)
