"""The table of variants: what stands in which column, for every form of the report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from zoo.ablation.matching import LENGTH
from zoo.ablation.report.gathering import Report, Row
from zoo.ablation.statistics import Comparison
from zoo.drawing.numbers import fixed, interval, p_text, short, time_text, with_spread


@dataclass(frozen=True)
class Column:
    """One of them."""

    title: str
    meaning: str
    value: Callable[[Row], float | None]
    """What it is sorted by."""
    text: Callable[[Row], str]
    is_cost: bool = False


def columns(report: Report) -> list[Column]:
    """All columns besides the variant's name."""
    decimals, apart = report.decimals(), report.difference_decimals
    n = len(report.seeds)
    better = "more is better" if report.is_higher_better else "less is better"

    def of(get: Callable[[Comparison], float | None]) -> Callable[[Row], float | None]:
        return lambda row: None if row.comparison is None else get(row.comparison)

    def compared(tell: Callable[[Comparison], str]) -> Callable[[Row], str]:
        return lambda row: "" if row.comparison is None else tell(row.comparison)

    confidence = next(100 * row.comparison.confidence for row in report.rows if row.comparison)
    return [
        Column(
            report.title,
            f"mean ± standard deviation over seeds ({better})",
            lambda row: row.summary.mean,
            lambda row: with_spread(row.summary.mean, row.summary.spread, decimals),
        ),
        Column(
            "Seeds",
            "seeds that have a score, of those planned",
            lambda row: row.summary.n,
            lambda row: f"{row.summary.n}" if row.summary.n == n else f"{row.summary.n} of {n}",
        ),
        Column(
            "Difference",
            "mean of variant minus base over the seeds that both have",
            of(lambda c: c.difference),
            compared(lambda c: fixed(c.difference, apart, is_signed=True)),
        ),
        Column(
            f"{confidence:.3g} % interval",
            "of that mean difference, of this comparison alone",
            of(lambda c: c.low),
            compared(lambda c: interval(c.low, c.high, apart)),
        ),
        Column(
            "Effect size",
            "the mean difference in standard deviations of the paired differences, corrected for few seeds",
            of(lambda c: c.effect_size),
            compared(lambda c: fixed(c.effect_size, 2, is_signed=True)),
        ),
        Column(
            "p (Holm)",
            "paired t test, corrected for the number of comparisons",
            of(lambda c: c.p_adjusted),
            compared(lambda c: p_text(c.p_adjusted)),
        ),
        Column(
            "Verdict",
            "better or worse than the base where the corrected p allows it",
            of(lambda c: {"better": 0.0, "unclear": 1.0, "worse": 2.0}[c.verdict]),
            lambda row: "diverged" if row.has_diverged else row.comparison.verdict if row.comparison else "",
        ),
        Column(
            "Parameters",
            "trained and frozen, tied ones once",
            lambda row: row.cost.n_parameters,
            lambda row: short(row.cost.n_parameters, n_digits=4),
            is_cost=True,
        ),
        Column(
            "FLOPs/token",
            f"of training, in sequences of {LENGTH} tokens",
            lambda row: row.cost.training_per_token,
            lambda row: short(row.cost.training_per_token, n_digits=4),
            is_cost=True,
        ),
        Column(
            "Memory",
            f"activations that training keeps of a sequence of {LENGTH} tokens",
            lambda row: row.cost.activation_bytes,
            lambda row: short(row.cost.activation_bytes, "B"),
            is_cost=True,
        ),
        Column(
            "Cache",
            f"memory that decoding keeps of a sequence of {LENGTH} tokens",
            lambda row: row.cost.cache_bytes,
            lambda row: short(row.cost.cache_bytes, "B"),
            is_cost=True,
        ),
        Column(
            "Training",
            "time of a training, mean over seeds",
            lambda row: row.seconds,
            lambda row: time_text(row.seconds),
            is_cost=True,
        ),
        Column(
            "Tokens/s",
            "while training",
            lambda row: row.tokens_per_second,
            lambda row: short(row.tokens_per_second),
            is_cost=True,
        ),
    ]
