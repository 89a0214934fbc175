"""Scores against a BLEU worked out by hand, and what must not be scored."""

import math

import pytest

from zoo.errors import DataError
from zoo.evaluation.translation import score


def test_a_perfect_translation_scores_100():
    lines = ["A dog runs through the grass .", "Two men play chess in the park."]
    scores = score(lines, lines)
    assert scores["bleu"] == pytest.approx(100)
    assert scores["chrf"] == pytest.approx(100)
    assert scores["n_sentences"] == 2


def test_bleu_is_the_formula():
    # 6 words against 7: 5, 3, 2, 1 of 6, 5, 4, 3 n-grams match; brevity penalty e^(1 - 7/6).
    hypothesis, reference = "the cat sat on a mat", "the cat sat on the red mat"
    precisions = [5 / 6, 3 / 5, 2 / 4, 1 / 3]
    expected = 100 * math.exp(1 - 7 / 6) * math.prod(precisions) ** 0.25
    assert score([hypothesis], [reference])["bleu"] == pytest.approx(expected)


def test_case_counts():
    assert score(["a dog runs through grass"], ["A dog runs through grass"])["bleu"] < 100


def test_signatures_say_how_the_scores_were_computed():
    import sacrebleu

    scores = score(["a dog"], ["a cat"])
    assert scores["sacrebleu"] == sacrebleu.__version__
    assert scores["signatures"] == {
        "bleu": f"nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:{sacrebleu.__version__}",
        "chrf": f"nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:{sacrebleu.__version__}",
    }


def test_unequal_counts_are_refused():
    with pytest.raises(DataError, match="2 hypotheses cannot be scored against 1 references"):
        score(["a", "b"], ["a"])


def test_nothing_to_score_is_refused():
    with pytest.raises(DataError, match="no sentences"):
        score([], [])


def test_text_that_looks_tokenised_is_scored_without_a_word(caplog):
    lines = ["this looks tokenised ."] * 101
    assert score(lines, lines)["bleu"] == pytest.approx(100)
    assert not caplog.records
