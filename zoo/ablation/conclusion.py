"""What can and what cannot be concluded from a comparison, in words."""

from __future__ import annotations

from zoo.ablation.power import MOST_SEEDS, seeds_needed
from zoo.ablation.statistics import Comparison
from zoo.amounts import amount

POWER = 0.8
"""Of the experiment that is proposed where this one settles nothing."""


def conclusion(comparison: Comparison, name: str, base_name: str, metric: str) -> str:
    """A few plain sentences: what the seeds show, or why they show nothing and how many would be needed.

    The number of seeds is that of the paired t test, and supposes that the true difference and its spread are those
    seen, which few seeds know but roughly, and that as many comparisons are corrected for.
    """
    found = _finding(comparison, name, base_name, metric)
    if not comparison.n or not comparison.n_dropped:
        return found
    were = "was" if comparison.n_dropped == 1 else "were"
    return (
        f"{found} {amount(comparison.n_dropped, 'pair')} {were} left out because a score is missing; "
        "if those runs failed or diverged, the ones compared are the luckier ones."
    )


def _finding(c: Comparison, name: str, base_name: str, metric: str) -> str:
    if c.difference is None:
        return f"{name} and {base_name} cannot be compared in {metric}: no seed has a score of both."
    if c.n == 1:
        return (
            f"{name} is {_apart(c.difference)} {base_name} in {metric} with the one seed that both have, "
            "which cannot tell a difference from chance."
        )
    if c.spread == 0:
        return (
            f"{name} is {_apart(c.difference)} {base_name} in {metric} with each of {c.n} seeds alike, so that they "
            "say nothing about chance; see whether the seeds reached the runs."
        )
    if c.verdict != "unclear":
        return (
            f"{name} is {c.verdict} than {base_name} in {metric}: {_apart(c.difference)} it on average over "
            f"{c.n} paired seeds ({_evidence(c)}). Chance alone would seldom do that; "
            "other tasks, sizes and budgets were not looked at."
        )
    return (
        f"Whether {name} is better or worse than {base_name} in {metric} cannot be told from {c.n} paired seeds: "
        f"it is {_apart(c.difference)} it on average ({_evidence(c)}). {_lack(c)}"
    )


def _apart(difference: float) -> str:
    if difference == 0:
        return "the same as"
    return f"{abs(difference):.3g} {'higher' if difference > 0 else 'lower'} than"


def _evidence(c: Comparison) -> str:
    assert c.p_adjusted is not None
    p = "p < 0.001" if c.p_adjusted < 0.001 else f"p = {c.p_adjusted:.2g}"
    if c.n_comparisons > 1:
        p = f"{p} after Holm's correction for {c.n_comparisons} comparisons"
    if c.low is None:
        return p
    return f"{100 * c.confidence:.3g} % interval of the difference {c.low:+.3g} to {c.high:+.3g}, {p}"


def _lack(c: Comparison) -> str:
    """Why it could not be told, and what would be needed."""
    assert c.difference is not None
    assert c.spread is not None
    assert c.smallest_p is not None
    if not c.can_be_significant:
        return (
            f"So few pairs cannot be significant in this test, whose p value is {c.smallest_p:.2g} or more."
        )
    n = seeds_needed(c.difference, c.spread, alpha=(1 - c.confidence) / c.n_comparisons, power=POWER)
    if n is None:
        return f"A difference as small as this one would need more than {MOST_SEEDS:,} seeds to show."
    return (
        f"A difference of this size and spread would need about {max(n, c.n + 1):,} seeds "
        f"to show with {100 * POWER:.0f} % power."
    )
