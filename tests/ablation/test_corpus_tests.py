"""Corpus tests against sacrebleu's command line; row tests against their definitions."""

import itertools
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import sacrebleu
from scipy import stats

from zoo.ablation.corpus_tests import compare_corpora, compare_rows

WORDS = np.array(
    ["a", "the", "dog", "cat", "man", "runs", "sits", "sees", "big", "red", "park", "house", "on"]
)
METRICS = {"bleu": sacrebleu.BLEU, "chrf": sacrebleu.CHRF, "ter": sacrebleu.TER}
OPTIONS = {"approximate_randomisation": ("--paired-ar", "--paired-ar-n"),
           "paired_bootstrap": ("--paired-bs", "--paired-bs-n")}  # fmt: skip


def spoiled(random, lines, share):
    """The lines with that share of their words replaced."""
    words = [np.array(line.split()) for line in lines]
    return [" ".join(np.where(random.random(len(w)) < share, random.choice(WORDS, len(w)), w)) for w in words]


def corpus(n=41, *, seed=0, base=0.3, variant=0.25):
    """Lines of variant and base, and one stream of references."""
    random = np.random.default_rng(seed)
    references = [" ".join(random.choice(WORDS, random.integers(5, 12))) for _ in range(n)]
    return spoiled(random, references, variant), spoiled(random, references, base), [references]


def number_in(cell):
    """The first number of a cell such as ` 43.51 (43.32 ± 7.51) ` or ` (p = 0.0299)* `."""
    return float(re.search(r"\d+\.\d+", cell).group())


VARIANT, BASE, REFERENCES = corpus()


@pytest.mark.parametrize("test", OPTIONS)
def test_scores_and_p_values_are_those_of_sacrebleus_command(test, tmp_path):
    files = {"variant": VARIANT, "base": BASE, "references": REFERENCES[0]}
    for name, lines in files.items():
        (tmp_path / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    flag, number = OPTIONS[test]
    printed = subprocess.run(
        [sys.executable, "-m", "sacrebleu", "references", "-i", "base", "variant", "-m", *METRICS,
         flag, number, "300", "--format", "text", "--width", "6"],
        cwd=tmp_path, env={**os.environ, "SACREBLEU_SEED": "77"}, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    _, base_row, variant_row, p_row = [line.split("│")[2:] for line in printed.splitlines() if "│" in line]
    for place, metric in enumerate(METRICS.values()):
        found = compare_corpora(VARIANT, BASE, REFERENCES, metric(), test=test, n_samples=300, seed=77)
        assert found.p_value == pytest.approx(number_in(p_row[place]), abs=5e-5)
        assert found.variant == pytest.approx(number_in(variant_row[place]), abs=1e-5)
        assert found.base == pytest.approx(number_in(base_row[place]), abs=1e-5)
        assert found.difference == found.variant - found.base
        assert (found.n_rows, found.n_samples, found.test) == (41, 300, test)


@pytest.mark.parametrize("test", OPTIONS)
def test_a_seed_decides_all_and_leaves_the_environment_as_it_was(test, monkeypatch):
    monkeypatch.setenv("SACREBLEU_SEED", "none")

    def p_value(seed):
        return compare_corpora(
            VARIANT, BASE, REFERENCES, sacrebleu.CHRF(), test=test, n_samples=200, seed=seed
        ).p_value

    assert p_value(1) == p_value(1)
    assert len({p_value(seed) for seed in range(1, 6)}) > 1
    assert os.environ["SACREBLEU_SEED"] == "none"
    monkeypatch.delenv("SACREBLEU_SEED")
    p_value(1)
    assert "SACREBLEU_SEED" not in os.environ


def test_sacrebleus_numbers_of_samples_and_signature_are_told():
    found = compare_corpora(VARIANT, BASE, REFERENCES, sacrebleu.CHRF(), test="paired_bootstrap")
    assert found.n_samples == 1000
    assert "bs:1000|seed:12345" in found.signature


@pytest.mark.parametrize("test", OPTIONS)
def test_a_difference_that_is_there_is_found_and_equal_outputs_do_not_differ(test):
    variant, base, references = corpus(80, base=0.5, variant=0.2)
    found = compare_corpora(variant, base, references, sacrebleu.BLEU(), test=test, n_samples=300)
    assert found.difference > 5
    assert found.p_value < 0.02
    same = compare_corpora(base, base, references, sacrebleu.BLEU(), test=test, n_samples=300)
    assert (same.difference, same.p_value) == (0, 1)


def test_further_references_may_be_missing():
    further = [None if i % 3 else line for i, line in enumerate(VARIANT)]
    found = compare_corpora(VARIANT, BASE, [*REFERENCES, further], sacrebleu.BLEU(), n_samples=100)
    expected = sacrebleu.BLEU().corpus_score(VARIANT, [*REFERENCES, further]).score
    assert found.variant == pytest.approx(expected)
    assert found.variant > compare_corpora(VARIANT, BASE, REFERENCES, sacrebleu.BLEU(), n_samples=100).variant


@pytest.mark.parametrize(
    ("variant", "base", "references", "choices", "message"),
    [([], [], [[]], {}, "no rows"), (["a"], ["a"], [], {}, "no references"),
     (["a", "b"], ["a"], [["a", "b"]], {}, "variant 2, base 1, references 2"),
     (["a"], ["a"], [["a"], ["b", "c"]], {}, "references 1, 2"),
     (["a"], ["a"], [["a"]], {"seed": 0}, "seed"), (["a"], ["a"], [["a"]], {"n_samples": -1}, "n_samples")],
)  # fmt: skip
def test_what_cannot_be_compared_is_refused(variant, base, references, choices, message):
    with pytest.raises(ValueError, match=message):
        compare_corpora(variant, base, references, sacrebleu.BLEU(), **choices)


@pytest.mark.slow
def test_equal_systems_differ_as_often_as_the_docstring_says():
    claims = dict.fromkeys(OPTIONS, 0)
    for seed in range(400):
        variant, base, references = corpus(60, seed=seed, base=0.3, variant=0.3)
        for test in OPTIONS:
            metric = sacrebleu.BLEU(tokenize="none")
            found = compare_corpora(variant, base, references, metric, test=test, n_samples=300)
            claims[test] += found.p_value <= 0.05
    assert claims["approximate_randomisation"] <= 0.07 * 400
    assert claims["paired_bootstrap"] >= 0.07 * 400


def test_rows_right_or_wrong_are_mcnemars():
    # Only the variant is right in 6 rows, only the base in 1: 2 (1 + 7) / 2^7
    variant, base = [1] * 6 + [0] + [1, 1, 0], [0] * 6 + [1] + [1, 1, 0]
    found = compare_rows(variant, base)
    assert (found.test, found.n_rows, found.difference) == ("mcnemar", 10, 0.5)
    assert found.p_value == pytest.approx(16 / 128)
    assert compare_rows(base, variant).p_value == pytest.approx(found.p_value)
    assert compare_rows([1, 0, 1], [1, 0, 1]).p_value == 1


def test_rows_with_scores_are_exchanged_in_every_way():
    random = np.random.default_rng(4)
    variant, base = random.random((2, 9))
    differences = variant - base
    patterns = np.array(list(itertools.product((-1, 1), repeat=9)))
    expected = (np.abs(patterns @ differences) >= abs(differences.sum()) - 1e-9).mean()
    found = compare_rows(variant, base)
    assert (found.test, found.p_value) == ("approximate_randomisation", pytest.approx(expected))
    assert found.difference == pytest.approx(differences.mean())


def test_many_rows_are_exchanged_at_random_by_the_seed():
    random = np.random.default_rng(5)
    base = random.random(300)
    variant = base + random.normal(0.05, 0.5, 300)
    found = compare_rows(variant, base, n_samples=4000)
    assert found.p_value == pytest.approx(stats.ttest_rel(variant, base).pvalue, abs=0.03)
    assert found == compare_rows(variant, base, n_samples=4000)
    assert found != compare_rows(variant, base, n_samples=4000, seed=1)


@pytest.mark.parametrize(
    ("variant", "base", "message"),
    [([], [], "two scores"), ([1, 0], [1], "has 2, the base 1"), ([0.5, float("nan")], [1, 0], "not finite")],
)
def test_rows_that_cannot_be_compared_are_refused(variant, base, message):
    with pytest.raises(ValueError, match=message):
        compare_rows(variant, base)
