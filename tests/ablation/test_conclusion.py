"""What is concluded in words: direction, evidence, what is lacking, and never more than the numbers carry."""

import pytest

from zoo.ablation.conclusion import conclusion
from zoo.ablation.power import seeds_needed
from zoo.ablation.statistics import adjusted, compare


def said(variant, base, *, metric="BLEU", is_higher_better=True, **choices):
    found = compare(variant, base, is_higher_better=is_higher_better, **choices)
    return conclusion(found, "rotary", "base", metric)


def test_a_significant_difference_is_told_with_its_evidence():
    # differences 0.6, 0.7, 0.3: mean 0.5333, interval and p by scipy's ttest_rel
    text = said([30.1, 30.4, 29.9], [29.5, 29.7, 29.6])
    assert text == (
        "rotary is better than base in BLEU: 0.533 higher than it on average over 3 paired seeds "
        "(95 % interval of the difference +0.0162 to +1.05, p = 0.047). Chance alone would seldom do that; "
        "other tasks, sizes and budgets were not looked at."
    )


def test_a_lower_loss_is_better_and_a_higher_one_worse():
    low, high = [3.1, 3.2, 3.15, 3.0, 3.05], [3.3, 3.35, 3.4, 3.3, 3.2]
    assert said(low, high, metric="loss", is_higher_better=False).startswith(
        "rotary is better than base in loss: 0.21 lower than it on average over 5 paired seeds"
    )
    assert said(high, low, metric="loss", is_higher_better=False).startswith(
        "rotary is worse than base in loss: 0.21 higher than it"
    )


def test_an_open_question_says_how_many_seeds_would_settle_it():
    variant, base = [30.1, 30.4, 29.9], [29.9, 30.5, 29.6]
    found = compare(variant, base, is_higher_better=True)
    n = seeds_needed(found.difference, found.spread)
    assert n == 22
    assert said(variant, base) == (
        "Whether rotary is better or worse than base in BLEU cannot be told from 3 paired seeds: it is 0.133 higher "
        "than it on average (95 % interval of the difference -0.384 to +0.65, p = 0.38). A difference of this size "
        "and spread would need about 22 seeds to show with 80 % power."
    )


def test_after_a_correction_more_seeds_are_needed_than_there_were():
    found = compare([30.1, 30.4, 29.9], [29.5, 29.7, 29.6], is_higher_better=True)
    first, *_ = adjusted([found] * 4)
    text = conclusion(first, "rotary", "base", "BLEU")
    assert "cannot be told from 3 paired seeds" in text
    assert "p = 0.19 after Holm's correction for 4 comparisons" in text
    assert f"about {seeds_needed(found.difference, found.spread, alpha=0.05 / 4)} seeds" in text


@pytest.mark.parametrize(
    ("variant", "base", "parts"),
    [
        ([None], [1.0], ["cannot be compared in BLEU: no seed has a score of both."]),
        ([3.0], [1.0], ["is 2 higher than base in BLEU with the one seed", "cannot tell a difference from chance"]),
        ([3.0, 4.0], [1.0, 2.0], ["is 2 higher than base in BLEU with each of 2 seeds alike"]),
        ([3.0, 4.0], [3.0, 4.0], ["is the same as base in BLEU with each of 2 seeds alike"]),
        ([1.0, -1.0, 2.0, -2.0], [0.0] * 4, ["is the same as it on average", "more than 10,000 seeds"]),
    ],
    ids=["no seed", "one seed", "equal differences", "equal scores", "mean zero"],
)  # fmt: skip
def test_where_nothing_can_be_concluded_it_says_so(variant, base, parts):
    text = said(variant, base)
    assert all(part in text for part in parts), text
    assert "better than" not in text
    assert "worse than base in BLEU:" not in text


def test_a_test_that_could_not_have_found_anything_says_so():
    text = said([5.0, 6.0, 7.5], [1.0, 1.0, 1.0], test="sign_flip")
    assert (
        "(p = 0.25). So few pairs cannot be significant in this test, whose p value is 0.25 or more." in text
    )


def test_more_seeds_than_there_were_are_asked_for_where_another_test_would_need_fewer():
    # six pairs, of which one is far below: t would need two or three, flipped signs find nothing with these
    variant = [10.0, 10.1, 10.2, 10.3, 10.4, -0.1]
    text = said(variant, [0.0] * 6, test="sign_flip")
    assert "cannot be told from 6 paired seeds" in text
    assert "about 7 seeds" in text


def test_seeds_that_are_missing_are_told():
    one = said([1.0, 2.0, None, 2.5], [0.5, 1.0, 1.0, 1.9])
    assert one.endswith("1 pair was left out because a score is missing; "
                        "if those runs failed or diverged, the ones compared are the luckier ones.")  # fmt: skip
    assert "2 pairs were left out" in said([1.0, None, None, 2.5], [0.5, 1.0, 1.0, 1.9])
    assert "left out" not in said([None, None], [1.0, 2.0])
