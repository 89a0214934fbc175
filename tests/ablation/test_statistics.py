"""Summaries and paired comparisons against numbers worked out by hand, scipy's tests and each test's definition."""

import itertools
import json
import math
from dataclasses import asdict

import numpy as np
import pytest
from scipy import stats

from zoo.ablation.statistics import adjusted, compare, holm, pareto, summary

RANDOM = np.random.default_rng(7)
VARIANT = RANDOM.normal(30.5, 0.4, 7)
BASE = RANDOM.normal(30.0, 0.3, 7)


def compared(variant, base, **choices):
    return compare(variant, base, **{"is_higher_better": True, **choices})


def test_a_summary_worked_out_by_hand():
    found = summary([2.0, 4.0, 9.0])
    # mean 5, squares 9 + 1 + 16 over 2, t of 2 degrees of freedom 4.302653
    assert (found.n, found.n_missing, found.mean) == (3, 0, 5.0)
    assert found.spread == pytest.approx(math.sqrt(13))
    assert found.high - found.mean == found.mean - found.low == pytest.approx(4.302653 * math.sqrt(13 / 3))


def test_the_interval_of_a_mean_is_scipys():
    found = summary(VARIANT, confidence=0.9)
    expected = stats.t.interval(0.9, 6, VARIANT.mean(), stats.sem(VARIANT))
    assert (found.low, found.high) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("values", "n", "n_missing", "mean", "spread"),
    [
        ([], 0, 0, None, None),
        ([None, math.nan], 0, 2, None, None),
        ([3.5, math.inf], 1, 1, 3.5, None),
        ([3.0, None, 3.0], 2, 1, 3.0, 0.0),
    ],
    ids=["nothing", "all missing", "one seed", "equal values"],
)
def test_a_summary_says_only_what_is_defined(values, n, n_missing, mean, spread):
    found = summary(values)
    assert (found.n, found.n_missing, found.mean, found.spread) == (n, n_missing, mean, spread)
    assert (found.low, found.high) == (None, None)


def test_a_comparison_worked_out_by_hand():
    found = compared([3.0, 5.0, 4.0, 8.0], [2.0, 2.0, 4.0, 4.0])
    # differences 1, 3, 0, 4: mean 2, squares 1 + 1 + 4 + 4 over 3; t of 3 degrees of freedom 3.182446
    spread = math.sqrt(10 / 3)
    assert (found.n, found.n_dropped, found.difference) == (4, 0, 2.0)
    assert found.spread == pytest.approx(spread)
    assert (found.low, found.high) == pytest.approx((2 - 3.182446 * spread / 2, 2 + 3.182446 * spread / 2))
    # Hedges' factor for 3: gamma(3/2) / (sqrt(3/2) gamma(1)) = sqrt(pi / 6)
    assert found.effect_size == pytest.approx(2 / spread * math.sqrt(math.pi / 6))
    assert found.verdict == "unclear"


@pytest.mark.parametrize("n", [2, 3, 5, 7])
@pytest.mark.parametrize("confidence", [0.95, 0.8])
def test_paired_t_is_scipys(n, confidence):
    found = compared(VARIANT[:n], BASE[:n], confidence=confidence)
    expected = stats.ttest_rel(VARIANT[:n], BASE[:n])
    interval = expected.confidence_interval(confidence)
    assert (found.p_value, found.low, found.high) == pytest.approx(
        (expected.pvalue, interval.low, interval.high)
    )
    assert found.p_adjusted == found.p_value
    assert (found.test, found.smallest_p, found.can_be_significant) == ("paired_t", 0, True)


@pytest.mark.parametrize(
    ("variant", "is_higher_better", "verdict"),
    [([9.0, 9.1, 9.3], True, "better"), ([9.0, 9.1, 9.3], False, "worse"),
     ([1.0, 1.1, 1.3], True, "worse"), ([1.0, 1.1, 1.3], False, "better"), ([1.0, 9.0, 5.1], True, "unclear")],
)  # fmt: skip
def test_the_verdict_follows_the_direction_of_the_metric(variant, is_higher_better, verdict):
    assert compared(variant, [5.0, 5.2, 5.1], is_higher_better=is_higher_better).verdict == verdict


def flipped_p_value(differences):
    """The share of patterns of signs whose sum is as far from zero as the one seen, one after another."""
    seen = abs(sum(differences))
    sums = [
        abs(sum(sign * d for sign, d in zip(signs, differences, strict=True)))
        for signs in itertools.product((-1, 1), repeat=len(differences))
    ]
    return sum(s >= seen - 1e-9 for s in sums) / len(sums)


@pytest.mark.parametrize("n", [2, 3, 5, 7])
def test_flipped_signs_count_every_pattern(n):
    found = compared(VARIANT[:n], BASE[:n], test="sign_flip")
    assert found.p_value == pytest.approx(flipped_p_value(VARIANT[:n] - BASE[:n]))
    assert found.smallest_p == 2 / 2**n


def test_the_interval_of_flipped_signs_holds_the_shifts_they_do_not_reject():
    differences = VARIANT - BASE
    found = compared(VARIANT, BASE, test="sign_flip")
    for shift in np.linspace(differences.min(), differences.max(), 97):
        rejected = flipped_p_value(differences - shift) <= 0.05
        assert rejected != (found.low <= shift <= found.high)


def test_too_few_pairs_for_flipped_signs_are_said_to_be_so():
    found = compared([5.0, 6.0, 7.0, 8.0, 9.5], [0.0] * 5, test="sign_flip")
    assert (found.p_value, found.smallest_p) == (0.0625, 0.0625)
    assert (found.low, found.high, found.can_be_significant, found.verdict) == (None, None, False, "unclear")
    six = compared([5.0, 6.0, 7.0, 8.0, 9.5, 9.0], [0.0] * 6, test="sign_flip")
    assert (six.can_be_significant, six.verdict) == (True, "better")


def test_flipped_signs_of_many_pairs_are_near_all_of_them_and_the_same_each_time():
    noise = np.random.default_rng(3)
    variant = noise.normal(0.5, 1, 15)
    found = compared(variant, np.zeros(15), test="sign_flip")
    patterns = np.arange(2**15)[:, None] >> np.arange(15) & 1
    sums = np.abs((2 * patterns - 1) @ variant)
    assert found.p_value == pytest.approx((sums >= abs(variant.sum()) - 1e-9).mean(), abs=0.01)
    assert found == compared(variant, np.zeros(15), test="sign_flip")
    means = np.sort(patterns[1:] @ variant / patterns[1:].sum(1))
    assert (found.low, found.high) == pytest.approx((means[818], means[-819]), abs=0.05)


def test_a_pair_counts_only_where_both_sides_have_a_score():
    found = compared([1.0, None, 3.5, math.inf, 5.0, 2.0], [0.5, 1.0, math.nan, 2.0, 4.0, 0.0])
    whole = compared([1.0, 5.0, 2.0], [0.5, 4.0, 0.0])
    assert (found.n, found.n_dropped) == (3, 3)
    assert {**asdict(found), "n_dropped": 0} == asdict(whole)


@pytest.mark.parametrize(
    ("variant", "base", "n", "difference", "spread"),
    [
        ([None], [1.0], 0, None, None),
        ([], [], 0, None, None),
        ([3.0], [1.0], 1, 2.0, None),
        ([3.0, 4.0], [1.0, 2.0], 2, 2.0, 0.0),
        ([3.0, 4.0], [3.0, 4.0], 2, 0.0, 0.0),
        ([0.91, 0.57, 30.11], [0.90, 0.56, 30.10], 3, pytest.approx(0.01), 0.0),  # apart by rounding only
    ],
    ids=["no pair", "nothing", "one seed", "equal differences", "equal scores", "rounding"],
)
@pytest.mark.parametrize("test", ["paired_t", "sign_flip"])
def test_where_no_noise_was_seen_nothing_is_significant(variant, base, n, difference, spread, test):
    found = compared(variant, base, test=test)
    assert (found.n, found.difference, found.spread) == (n, difference, spread)
    assert found.low is found.high is found.effect_size is found.p_value is found.smallest_p is None
    assert (found.verdict, found.can_be_significant) == ("unclear", False)
    assert json.loads(json.dumps(asdict(found), allow_nan=False)) == asdict(found)


def test_two_pairs_have_no_effect_size():
    found = compared([3.0, 5.0], [2.0, 3.0])
    assert found.effect_size is None
    assert found.p_value == pytest.approx(stats.ttest_rel([3.0, 5.0], [2.0, 3.0]).pvalue)


def test_hedges_factor_removes_the_bias():
    differences = np.random.default_rng(1).normal(1.0, 1.0, (4000, 5))
    sizes = [compared(row, np.zeros(5)).effect_size for row in differences]
    assert np.mean(sizes) == pytest.approx(1.0, abs=0.03)


def test_sides_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="the variant has 2, the base 3"):
        compared([1.0, 2.0], [1.0, 2.0, 3.0])


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0])
def test_a_confidence_that_is_no_share_is_refused(confidence):
    with pytest.raises(ValueError, match="between 0 and 1"):
        compared([1.0, 2.0], [1.0, 3.0], confidence=confidence)
    with pytest.raises(ValueError, match="between 0 and 1"):
        summary([1.0, 2.0], confidence=confidence)


def test_scores_that_are_no_row_are_refused():
    with pytest.raises(ValueError, match=r"shape \(2, 1\)"):
        summary(np.ones((2, 1)))


def test_holm_worked_out_by_hand():
    # in order 0.01·4, 0.02·3, 0.03·2 (not below the one before), 0.5·1
    assert holm([0.5, 0.01, None, 0.03, 0.02]) == pytest.approx([0.5, 0.04, None, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_a_verdict_rests_on_the_corrected_value():
    alone = compared([3.1, 3.4, 2.9], [2.5, 2.9, 2.6])
    assert alone.verdict == "better"
    untested = compared([1.0], [2.0])
    found = adjusted([alone, untested, compared([1.0, 2.0, 2.0], [2.0, 2.0, 1.0])])
    assert [c.n_comparisons for c in found] == [2, 2, 2]
    assert found[0].p_adjusted == pytest.approx(2 * alone.p_value)
    assert found[0].p_value == alone.p_value
    assert [c.verdict for c in found] == ["unclear"] * 3
    assert adjusted([untested])[0].n_comparisons == 1


def test_a_correction_can_make_significance_impossible():
    six = compared([5.0, 6.0, 7.0, 8.0, 9.5, 9.0], [0.0] * 6, test="sign_flip")
    assert [c.can_be_significant for c in adjusted([six])] == [True]
    assert [c.can_be_significant for c in adjusted([six, six])] == [False, False]


@pytest.mark.parametrize("is_higher_better", [True, False])
def test_the_front_holds_what_no_other_beats(is_higher_better):
    costs = [1.0, 2.0, 2.0, 3.0, 3.0, 4.0, math.nan, 0.5, 1.0]
    qualities = [5.0, 6.0, 4.0, 6.0, 8.0, 7.0, 9.0, math.inf, 5.0]
    if not is_higher_better:
        qualities = [-q for q in qualities]
    front = pareto(costs, qualities, is_higher_better=is_higher_better)
    assert front == [True, True, False, False, True, False, False, False, True]


def test_a_point_without_a_quality_is_refused():
    with pytest.raises(ValueError, match="2 costs, 1 qualities"):
        pareto([1.0, 2.0], [1.0], is_higher_better=True)
