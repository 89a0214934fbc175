"""What so many seeds can detect, and how many are needed: before an experiment, and after one that found nothing.

All of it is about the paired t test on normally distributed differences. A spread is the standard deviation of the
differences within pairs. Estimated from few pairs it is itself uncertain: the 95 % interval of the true one reaches
from 0.52 to 6.3 times the estimate with 3 pairs, from 0.60 to 2.9 times with 5, from 0.69 to 1.8 times with 10.
"""

from __future__ import annotations

import math

from scipy import optimize, special, stats

MOST_SEEDS = 10_000
"""Where the search for the number of seeds ends."""


def chance_to_detect(difference: float, spread: float, n: int, *, alpha: float = 0.05) -> float:
    """How likely n pairs are significant at level alpha where their true mean difference is `difference`.

    It is the test's power, alpha itself where the difference is zero, and 0 for one pair.
    Source: the noncentral t distribution.
    Raises: ValueError where spread is not above 0, n below 1 or alpha not between 0 and 1.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha ({alpha}) must lie between 0 and 1")
    if not (spread > 0 and math.isfinite(spread)):
        raise ValueError(f"spread ({spread}) must be above 0: the standard deviation of the differences")
    if n < 1:
        raise ValueError(f"n ({n}) must be 1 or more seeds")
    if n == 1:
        return 0.0
    shift = abs(difference) / spread * math.sqrt(n)
    bound = -special.stdtrit(n - 1, alpha / 2)
    # Significant with the wrong sign: below 1e-9 for a shift of 6, and beyond scipy's tail is NaN at places.
    wrong_sign = stats.nct.cdf(-bound, n - 1, shift) if shift < 6 else 0.0
    return float(stats.nct.sf(bound, n - 1, shift) + wrong_sign)


def detectable(spread: float, n: int, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """The smallest mean difference that n seeds find significant with that power; infinite for one seed.

    Raises: ValueError as `chance_to_detect` does, or where power is not between alpha and 1.
    """
    _check_power(power, alpha)

    def lack(difference: float) -> float:
        return chance_to_detect(difference, spread, n, alpha=alpha) - power

    if n == 1:
        return math.inf
    enough = spread
    while lack(enough) < 0:
        enough *= 2
    return float(optimize.brentq(lack, 0, enough, xtol=1e-9 * spread))


def seeds_needed(difference: float, spread: float, *, alpha: float = 0.05, power: float = 0.8) -> int | None:
    """How many seeds find a mean difference of that size significant with that power.

    None where more than MOST_SEEDS would be needed, as for a difference of zero.
    Raises: ValueError as `detectable` does.
    """
    _check_power(power, alpha)
    few, enough = 1, MOST_SEEDS
    if chance_to_detect(difference, spread, enough, alpha=alpha) < power:
        return None
    while enough - few > 1:
        middle = (few + enough) // 2
        if chance_to_detect(difference, spread, middle, alpha=alpha) < power:
            few = middle
        else:
            enough = middle
    return enough


def _check_power(power: float, alpha: float) -> None:
    if not alpha < power < 1:
        raise ValueError(f"power ({power}) must lie between alpha ({alpha}) and 1")
