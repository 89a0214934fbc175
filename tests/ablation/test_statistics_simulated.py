"""The tests on simulated seeds of known truth: false positives, coverage, power; and why these tests were chosen."""

import numpy as np
import pytest
from scipy import stats

from zoo.ablation.statistics import compare

DRAWS = 2000
NOISES = {
    "normal": lambda random, shape: random.standard_normal(shape),
    "skewed": lambda random, shape: random.standard_exponential(shape),
    "heavy-tailed": lambda random, shape: random.standard_t(3, shape),
}


def experiments(noise, n, *, draws=DRAWS, effect=0.0, scale=1.0):
    """Scores of variant and base, [draws, n] each; effect in standard deviations of their difference."""
    random = np.random.default_rng([n, *noise.encode()])
    variant, base = scale * NOISES[noise](random, (draws, n)), NOISES[noise](random, (draws, n))
    if noise == "skewed":
        variant, base = variant - scale, base - 1
    return variant + effect * (variant - base).std(), base


def compared(pairs, **choices):
    return [compare(v, b, is_higher_better=True, **choices) for v, b in zip(*pairs, strict=True)]


def share(claims):
    return np.mean(list(claims))


def found_share(pairs, **choices):
    return share(c.verdict != "unclear" for c in compared(pairs, **choices))


@pytest.mark.parametrize("n", [3, 5, 10])
@pytest.mark.parametrize("noise", NOISES)
def test_equal_systems_are_seldom_called_different_and_intervals_cover(noise, n):
    results = compared(experiments(noise, n))
    assert share(c.verdict != "unclear" for c in results) <= 0.06
    assert share(c.low <= 0 <= c.high for c in results) >= 0.93


@pytest.mark.parametrize(
    ("n", "least_of_2", "least_of_4"), [(3, 0.4, 0.85), (5, 0.85, 0.98), (10, 0.97, 0.99)]
)
@pytest.mark.parametrize("noise", NOISES)
def test_an_effect_is_found(noise, n, least_of_2, least_of_4):
    assert found_share(experiments(noise, n, draws=500, effect=2)) >= least_of_2
    assert found_share(experiments(noise, n, draws=500, effect=4)) >= least_of_4


def test_intervals_cover_a_difference_that_is_not_zero():
    variant, base = experiments("normal", 5)
    results = compared((variant + 1.5, base))
    assert share(c.low <= 1.5 <= c.high for c in results) >= 0.93


@pytest.mark.slow
@pytest.mark.parametrize("n", [3, 5, 10])
@pytest.mark.parametrize("noise", NOISES)
def test_paired_t_over_many_draws(noise, n):
    results = compared(experiments(noise, n, draws=20_000))
    assert 0.03 <= share(c.verdict != "unclear" for c in results) <= 0.055
    assert 0.945 <= share(c.low <= 0 <= c.high for c in results) <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("n", [3, 5, 10])
def test_noise_of_another_shape_on_one_side_breaks_the_level_as_the_docstring_says(n):
    assert 0.07 <= found_share(experiments("skewed", n, draws=20_000, scale=3.0)) <= 0.10
    variant, _ = experiments("skewed", n, draws=20_000)
    assert 0.09 <= found_share((variant, np.zeros_like(variant))) <= 0.125


@pytest.mark.slow
@pytest.mark.parametrize("noise", NOISES)
def test_flipped_signs_are_blind_below_six_pairs_and_hold_their_level_beyond(noise):
    assert found_share(experiments(noise, 3, effect=4, draws=200), test="sign_flip") == 0
    assert found_share(experiments(noise, 5, effect=4, draws=200), test="sign_flip") == 0
    for n in (6, 8, 10):
        results = compared(experiments(noise, n), test="sign_flip")
        assert share(c.verdict != "unclear" for c in results) <= 0.06
        assert share(c.low <= 0 <= c.high for c in results) >= 0.94
    assert found_share(experiments(noise, 10, effect=2, draws=500), test="sign_flip") >= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("method", ["percentile", "BCa"])
@pytest.mark.parametrize(("n", "most"), [(3, 0.80), (5, 0.87), (10, 0.92)])
def test_bootstrapped_intervals_of_so_few_pairs_cover_too_seldom(method, n, most):
    variant, base = experiments("normal", n)
    found = stats.bootstrap(
        (variant - base,), np.mean, axis=1, method=method, n_resamples=999, batch=100, rng=1
    ).confidence_interval
    assert share((found.low <= 0) & (found.high >= 0)) <= most
