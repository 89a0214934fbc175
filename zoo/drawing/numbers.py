"""Numbers as a reader wants them: as many digits as mean something."""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import median_low

MISSING = "–"
"""Stands where a number is not known."""
MINUS = "−"
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def decimals_for(spreads: Iterable[float | None], values: Iterable[float | None]) -> int:
    """The digits behind the point with which scores are shown together.

    Two significant digits of the middle one of their spreads; four of the largest value where no spread is known.
    """
    known = [spread for spread in spreads if spread]
    if known:
        return _decimals(median_low(known), 2)
    sizes = [abs(value) for value in values if value is not None and math.isfinite(value) and value]
    return _decimals(max(sizes), 4) if sizes else 2


def _decimals(value: float, n_digits: int) -> int:
    return min(max(n_digits - 1 - math.floor(math.log10(value)), 0), 6)


def fixed(value: float | None, decimals: int, *, is_signed: bool = False) -> str:
    """A number with so many digits behind the point, signs as in print."""
    if value is None or math.isnan(value):
        return MISSING
    text = f"{value:{'+' if is_signed else ''},.{decimals}f}"
    if float(text.replace(",", "")) == 0:
        text = text.lstrip("+-")  # what rounds to nothing has no direction
    return text.replace("-", MINUS)


def with_spread(mean: float | None, spread: float | None, decimals: int) -> str:
    """A mean ± standard deviation; without ± where one seed has none."""
    text = fixed(mean, decimals)
    return text if mean is None or spread is None else f"{text} ± {fixed(spread, decimals)}"


def interval(low: float | None, high: float | None, decimals: int) -> str:
    """The two ends of an interval of a difference."""
    if low is None or high is None:
        return MISSING
    return f"{fixed(low, decimals, is_signed=True)} to {fixed(high, decimals, is_signed=True)}"


def p_text(p: float | None) -> str:
    """A p value: two digits, three behind the point at most."""
    if p is None or math.isnan(p):
        return MISSING
    if p < 0.001:
        return "< 0.001"
    return f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def short(value: float | None, unit: str = "", *, n_digits: int = 3) -> str:
    """A size in thousands, millions and so on: 197.9 k, 1.76 M; with a unit 65.5 kB; small ones as they are."""
    if value is None or not math.isfinite(value):
        return MISSING
    factor, prefix = prefix_of(value)
    size = abs(value) / factor
    digits = 0 if size == 0 else max(n_digits - 1 - math.floor(math.log10(size)), 0)
    text = f"{size:.{min(digits, 4)}f}"
    if "." in text and float(text) == size:
        text = text.rstrip("0").rstrip(".")
    sign = MINUS if value < 0 else ""
    return f"{sign}{text} {prefix}{unit}".rstrip()


def power_text(value: float) -> str:
    """A number above 0 as a power of ten: 10⁻⁶, 2·10⁻⁴; 1 and 10 as they are."""
    power = math.floor(math.log10(value) + 1e-9)
    factor = f"{value / 10.0**power:.3g}"
    ten = {0: "1", 1: "10"}.get(power, f"10{str(power).translate(_RAISED)}")
    if factor == "1":
        return ten
    return factor if power == 0 else f"{factor}·{ten}"


def time_text(seconds: float | None) -> str:
    """A time in a unit that suits it: 0.8 s, 43 s, 4.2 min, 31 h."""
    if seconds is None:
        return MISSING
    for size, unit in ((86_400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.{0 if seconds >= 10 * size else 1}f} {unit}"
    return f"{seconds:.{0 if seconds >= 10 else 1}f} s"


def prefix_of(value: float, *, least: float = 1000.0) -> tuple[float, str]:
    """The factor and the letter of a size: 1e6 and M of millions; 1 and nothing of what is under `least`."""
    for factor, letter in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= max(factor, least):
            return factor, letter
    return 1.0, ""
