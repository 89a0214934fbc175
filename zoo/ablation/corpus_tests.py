"""Whether two systems' outputs for the same rows differ by more than the choice of the rows explains.

These tests ask about two trained models and other rows of the same kind of text. They say nothing about other seeds:
two runs of one spec differ too, often significantly. Whether an architecture is better is asked of several seeds, by
`zoo.ablation.statistics.compare`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric
    from sacrebleu.significance import Result

CorpusTestName = Literal["approximate_randomisation", "paired_bootstrap"]
RowTestName = Literal["mcnemar", "approximate_randomisation"]

_SACREBLEU = {"approximate_randomisation": "ar", "paired_bootstrap": "bs"}
_SEED = "SACREBLEU_SEED"  # the only way in which sacrebleu is told its seed


@dataclass(frozen=True)
class CorpusTest:
    """A variant's outputs against the base's, by one metric of a whole corpus."""

    metric: str
    """As sacrebleu calls it, such as chrF2."""
    variant: float
    base: float
    difference: float
    """Variant minus base, in the metric's unit."""
    p_value: float
    test: CorpusTestName
    n_rows: int
    n_samples: int
    signature: str
    """sacrebleu's, with test, samples and seed: what others need to get the same number."""


@dataclass(frozen=True)
class RowTest:
    """A variant's scores of single rows against the base's."""

    difference: float
    """Mean of variant minus base."""
    p_value: float
    test: RowTestName
    n_rows: int


def compare_corpora(
    variant: Sequence[str],
    base: Sequence[str],
    references: Sequence[Sequence[str | None]],
    metric: Metric,
    *,
    test: CorpusTestName = "approximate_randomisation",
    n_samples: int = 0,
    seed: int = 12345,
) -> CorpusTest:
    """sacrebleu's own paired test between two lists of hypotheses, its command line's p value for equal seeds.

    Differs: where both score exactly the same, p is 1; sacrebleu counts only what is further apart than the two, and
    so calls a system significantly different from itself.

    references: streams as sacrebleu takes them: all first references, then all second ones, None where a row has none.
    test: approximate_randomisation holds its level. paired_bootstrap, as sacrebleu has it, does not: it looks for a
        difference in either direction but counts one tail, so that at 0.05 about one in ten pairs of equal systems
        is called different (BLEU of 1,500 simulated corpora of 100 rows: 12 %, approximate randomisation 5 %). It
        is here because papers report it.
    n_samples: shuffles or resamples; 0 for sacrebleu's own number (10,000 and 1,000).
    seed: of its random choices, at least 1, since sacrebleu takes 0 for none; 12345 is its own.
    Source: Riezler and Maxwell 2005 (approximate randomisation), Koehn 2004 (paired bootstrap), Post 2018.
    Raises: ValueError where there are no rows, the lists are not of one length, or seed or n_samples is out of range.
    """
    from sacrebleu.significance import PairedTest

    _check_corpora(variant, base, references)
    if seed < 1:
        raise ValueError(f"seed ({seed}) must be 1 or more; sacrebleu draws anew each time where it is 0")
    if n_samples < 0:
        raise ValueError(f"n_samples ({n_samples}) must be 1 or more, or 0 for sacrebleu's own number")
    systems = [("base", base), ("variant", variant)]
    streams: Any = references  # sacrebleu's types forget that a row may lack a further reference
    with _sacrebleu_seed(seed):
        paired = PairedTest(systems, {"metric": metric}, streams, _SACREBLEU[test], n_samples=n_samples)
    signatures, results = paired()
    (name, signature), *_ = signatures.items()
    base_result, variant_result = cast("list[Result]", results[name])
    difference = float(variant_result.score - base_result.score)
    assert variant_result.p_value is not None
    return CorpusTest(
        metric=name,
        variant=float(variant_result.score),
        base=float(base_result.score),
        difference=difference,
        p_value=float(variant_result.p_value) if difference else 1.0,
        test=test,
        n_rows=len(variant),
        n_samples=paired.n_samples,
        signature=str(signature),
    )


def compare_rows(
    variant: Sequence[float], base: Sequence[float], *, n_samples: int = 10_000, seed: int = 12345
) -> RowTest:
    """Whether the mean of a score that each row has of its own (accuracy, a sentence's chrF, its loss) differs.

    Rows that are 0 or 1 on both sides: McNemar's exact test, which asks whether the rows that only one side gets right
    fall to both sides alike. Others: approximate randomisation, scipy's, exact where all 2ⁿ exchanges of the two sides
    are no more than n_samples.
    Source: McNemar 1947; Riezler and Maxwell 2005.
    Raises: ValueError where there are no rows, the sides have different lengths, or a score is not finite.
    """
    from scipy import stats

    a, b = np.asarray(variant, dtype=np.float64), np.asarray(base, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1 or not a.size:
        raise ValueError(f"each row needs two scores: the variant has {a.size}, the base {b.size}")
    if not np.isfinite([a, b]).all():
        raise ValueError("a row's score is not finite")
    differences = a - b
    test: RowTestName
    if np.isin([a, b], (0, 1)).all():
        test, n_better, n_apart = "mcnemar", int((differences > 0).sum()), int(differences.astype(bool).sum())
        p_value = stats.binomtest(n_better, n_apart).pvalue if n_apart else 1.0
    else:
        test = "approximate_randomisation"
        p_value = stats.permutation_test(
            (differences,), np.mean, permutation_type="samples", vectorized=True, n_resamples=n_samples,
            batch=max(1, 10_000_000 // len(a)), rng=seed,
        ).pvalue  # fmt: skip
    return RowTest(float(differences.mean()), float(p_value), test, len(a))


def _check_corpora(
    variant: Sequence[str], base: Sequence[str], references: Sequence[Sequence[str | None]]
) -> None:
    if not variant or not references:
        raise ValueError("there are no rows to compare" if not variant else "there are no references")
    lengths = [len(variant), len(base), *(len(stream) for stream in references)]
    if len(set(lengths)) > 1:
        raise ValueError(
            f"all need one line a row: variant {lengths[0]}, base {lengths[1]}, "
            f"references {', '.join(map(str, lengths[2:]))}"
        )


@contextmanager
def _sacrebleu_seed(seed: int) -> Iterator[None]:
    before = os.environ.get(_SEED)
    os.environ[_SEED] = str(seed)
    try:
        yield
    finally:
        if before is None:
            del os.environ[_SEED]
        else:
            os.environ[_SEED] = before
