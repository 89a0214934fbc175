"""The chart of paired differences."""

from __future__ import annotations

import math
from collections.abc import Sequence

from zoo.ablation.report.gathering import Report, Row
from zoo.drawing.numbers import fixed, interval, p_text
from zoo.drawing.shapes import SMALL, Drawing, Mark, Path, Words, cut, scale_of, text_width, x_axis

_ROW = 40.0


def differences(report: Report, *, width: float) -> Drawing | None:
    """Each variant's paired differences from the base: every seed, the mean, the interval. None without any."""
    decimals = report.difference_decimals
    shown = [(i, row) for i, row in enumerate(report.rows) if row.comparison and row.comparison.n]
    if not shown:
        return None
    values = [0.0]
    for _, row in shown:
        assert row.comparison is not None
        values += pair_differences(report, row).values()
        values += [end for end in (row.comparison.low, row.comparison.high) if end is not None]
    bottom = 8 + _ROW * len(shown)
    title = f"Difference from the base in {report.title}"
    drawing = Drawing(width, bottom + 42, f"{title}, by variant", report.names)
    x = scale_of(_within_reason(values, report, shown), 10, width - 10)
    better = "better →" if report.is_higher_better else "← better"
    x_axis(drawing, x, bottom, 4, title=f"{title} ({better})", n=max(3, int(width / 90)))
    drawing.shapes.append(Path(((x(0), bottom), (x(0), 4)), "zero"))
    for place, (i, row) in enumerate(shown):
        c = row.comparison
        assert c is not None
        assert c.difference is not None
        y = 8 + _ROW * place + 28
        found = fixed(c.difference, decimals, is_signed=True)
        if c.low is not None:
            found += f" ({interval(c.low, c.high, decimals)})"
        drawing.shapes.append(Words((width - 10, y - 16), found, anchor="end", variant=i))
        room = width - 32 - text_width(found, SMALL)
        drawing.shapes.append(Words((10, y - 16), cut(row.name, room, is_bold=True), "name", variant=i))
        if c.low is not None and c.high is not None:
            low, high = (min(max(each, x.low), x.high) for each in (c.low, c.high))
            drawing.shapes.append(Path(((x(low), y), (x(high), y)), "bar", i))
            for end, is_whole in ((low, low == c.low), (high, high == c.high)):
                if is_whole:
                    drawing.shapes.append(Path(((x(end), y - 4), (x(end), y + 4)), "bar", i))
        for seed, each in pair_differences(report, row).items():
            told = f"seed {seed}: {fixed(each, decimals, is_signed=True)}"
            drawing.shapes.append(Mark((x(each), y), i, "hollow", 3.2, told))
        told = f"{found}, p {p_text(c.p_adjusted)} after Holm's correction, {c.verdict}"
        drawing.shapes.append(Mark((x(c.difference), y), i, "mark", 5, told))
    return drawing


def pair_differences(report: Report, row: Row) -> dict[int, float]:
    """Variant minus base, by seed, of the seeds that both have a score of."""
    own, base = (
        {each.seed: each.scores[report.metric] for each in side.trials if report.metric in each.scores}
        for side in (row, report.base)
    )
    pairs = {seed: (own[seed], base[seed]) for seed in report.seeds if seed in own and seed in base}
    return {seed: a - b for seed, (a, b) in pairs.items() if math.isfinite(a) and math.isfinite(b)}


def _within_reason(values: list[float], report: Report, shown: Sequence[tuple[int, Row]]) -> list[float]:
    """The values that the axis has to hold: intervals of two or three seeds may be a hundred times as wide as what
    was seen, and would leave it no room; those are cut where the axis ends, without an end stroke."""
    seen = [0.0, *(each for _, row in shown for each in pair_differences(report, row).values())]
    reach = 2.5 * (max(seen) - min(seen))
    return [min(max(each, min(seen) - reach), max(seen) + reach) for each in values] if reach else values
