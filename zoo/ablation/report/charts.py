"""The charts of a report: paired differences, learning curves with bands, quality against cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from zoo.ablation.report.curves import Curve
from zoo.ablation.report.drawing import (
    FONT,
    SMALL,
    Drawing,
    Mark,
    Path,
    Scale,
    Words,
    axes,
    cut,
    scale_of,
    text_width,
    x_axis,
)
from zoo.ablation.report.gathering import Cost, Report, Row
from zoo.ablation.report.numbers import decimals_for, fixed, interval, p_text, short, with_spread
from zoo.training.plan import duration

Against = Literal["step", "tokens", "seconds"]
AGAINST: dict[Against, str] = {"step": "Step", "tokens": "Tokens", "seconds": "Seconds"}

_LEFT = 58.0
_ROW = 40.0
_LEGEND_LINE = 18.0
_APART = 11.0


def differences(report: Report, *, width: float) -> Drawing | None:
    """Each variant's paired differences from the base: every seed, the mean, the interval. None without any."""
    decimals = difference_decimals(report)
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
    drawing = Drawing(width, bottom + 42, f"{title}, by variant")
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
        drawing.shapes.append(Words((10, y - 16), cut(row.name, room), "name", variant=i))
        if c.low is not None and c.high is not None:
            low, high = (min(max(each, x.low), x.high) for each in (c.low, c.high))
            drawing.shapes.append(Path(((x(low), y), (x(high), y)), "bar", i))
            for end, is_whole in ((low, low == c.low), (high, high == c.high)):
                if is_whole:
                    drawing.shapes.append(Path(((x(end), y - 4), (x(end), y + 4)), "bar", i))
        for seed, each in pair_differences(report, row).items():
            told = f"{row.name}, seed {seed}: {fixed(each, decimals, is_signed=True)}"
            drawing.shapes.append(Mark((x(each), y), i, "hollow", 3.2, told))
        told = f"{row.name}: {found}, p {p_text(c.p_adjusted)} after Holm's correction, {c.verdict}"
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


def report_decimals(report: Report, name: str = "") -> int:
    """Digits behind the point of a score, and of its differences; by default of the compared one."""
    name = name or report.metric
    found = [row.scores[name] for row in report.rows if name in row.scores]
    return decimals_for([each.spread for each in found], [each.mean for each in found])


def difference_decimals(report: Report) -> int:
    """The same of differences, which spread less where seeds are pairs; two digits more at most."""
    spreads = [row.comparison.spread for row in report.rows if row.comparison]
    own = decimals_for(spreads, [row.comparison.difference for row in report.rows if row.comparison])
    scores = report_decimals(report)
    return min(max(own, scores), scores + 2)


def learning_curves(
    curves: Sequence[Curve], *, title: str, against: Against, width: float, legend: Sequence[str] = ()
) -> Drawing | None:
    """A line a variant, the mean over seeds, in a band from the lowest to the highest seed; each seed thinly.

    legend names the variants below, for a drawing that stands alone. None where there is no value to draw.
    """
    known = [curve for curve in curves if curve.points]
    if not known:
        return None
    height = 0.42 * width + 60 if width > 500 else 0.72 * width + 60
    entries = [(i, legend[i]) for i in (curve.variant for curve in known)] if legend else []
    bottom = height - 46
    drawing = Drawing(width, height, f"{title} against {AGAINST[against].lower()}, by variant")
    top = _highest(known)
    lows = [point.low for curve in known for point in curve.points]
    ends = [point.x(against) for curve in known for point in curve.points]
    x = scale_of([0.0, *ends], _LEFT, width - 12, margin=0.02)
    y = scale_of([min(lows), top], bottom, 10)
    axes(drawing, x, y, x_title=AGAINST[against], y_title=title, n_x=max(3, int(width / 90)))

    def at(value: float, across: float) -> tuple[float, float]:
        return x(across), y(min(value, y.high))

    for curve in known:
        if any(point.n > 1 for point in curve.points):
            edge = [at(point.high, point.x(against)) for point in curve.points]
            edge += [at(point.low, point.x(against)) for point in reversed(curve.points)]
            drawing.shapes.append(Path(tuple(edge), "band", curve.variant))
    for curve in known:
        for seed in curve.seeds.values():
            points = tuple(at(each.mean, each.x(against)) for each in seed)
            drawing.shapes.append(Path(points, "seed", curve.variant))
        line = tuple(at(point.mean, point.x(against)) for point in curve.points)
        drawing.shapes.append(Path(line, "line", curve.variant))
        for point in curve.points:
            told = f"{curve.name}, {point.where(against)}: {point.told}"
            drawing.shapes.append(Mark(at(point.mean, point.x(against)), curve.variant, "mark", 2.6, told))
    _add_legend(drawing, entries)
    return drawing


def _highest(curves: Sequence[Curve]) -> float:
    """Where the axis ends: the highest value, unless a few run away from all others, as a training that diverges."""
    tops = sorted(max(point.high for point in curve.points) for curve in curves)
    middle = tops[(len(tops) - 1) // 2]
    lowest = min(point.low for curve in curves for point in curve.points)
    return min(tops[-1], lowest + 2 * (middle - lowest)) if middle > lowest else tops[-1]


def trade_off(report: Report, cost: Cost, *, width: float, has_legend: bool = False) -> Drawing | None:
    """Quality against a cost: the mean of each variant, its standard deviation, and the front that none beats."""
    shown = [
        (i, row, value)
        for i, (row, value) in enumerate(zip(report.rows, cost.values, strict=True))
        if value is not None and row.summary.mean is not None
    ]
    if not shown:
        return None
    height = 0.42 * width + 60 if width > 500 else 0.8 * width + 50
    title = f"{report.title} against {cost.title[0].lower()}{cost.title[1:]}"
    drawing = Drawing(width, height, f"{title}, by variant")
    values = [value for _, _, value in shown]
    is_log = min(values) > 0 and max(values) / min(values) > 10
    x = scale_of(values, _LEFT, width - 16, is_log=is_log, margin=0.1)
    reach = [
        row.summary.mean + sign * (row.summary.spread or 0.0)
        for _, row, _ in shown
        if row.summary.mean is not None
        for sign in (-1, 1)
    ]
    y = scale_of(reach, height - 46, 12, margin=0.1)
    axes(drawing, x, y, x_title=_with_unit(cost), y_title=report.title, n_x=max(3, int(width / 110)))
    front = sorted(
        (value, row.summary.mean)
        for i, row, value in shown
        if cost.is_on_front[i] and row.summary.mean is not None
    )
    if len(front) > 1:
        drawing.shapes.append(Path(tuple((x(a), y(b)) for a, b in _stairs(front)), "front"))
    decimals = report_decimals(report)
    places = [
        (across, y(row.summary.mean))
        for across, (_, row, _) in zip(_side_by_side([x(value) for value in values]), shown, strict=True)
        if row.summary.mean is not None
    ]
    for (across, up), (i, row, value) in zip(places, shown, strict=True):
        mean, spread = row.summary.mean, row.summary.spread
        if mean is not None and spread:
            drawing.shapes.append(Path(((across, y(mean - spread)), (across, y(mean + spread))), "bar", i))
        told = f"{row.name}: {report.title} {with_spread(mean, spread, decimals)}, {cost_text(cost, value)}"
        told += ", on the front" if cost.is_on_front[i] else ""
        drawing.shapes.append(Mark((across, up), i, "mark", 5, told))
    taken = [_box(*place, 12, 12) for place in places]
    for place, (i, row, _) in zip(places, shown, strict=True):
        _add_name(drawing, cut(row.name, 150), i, place, taken, x, y)
    _add_legend(drawing, [(i, row.name) for i, row, _ in shown] if has_legend else [])
    return drawing


def _side_by_side(places: Sequence[float]) -> list[float]:
    """Places that are all apart: those of one cost stand beside each other, around where they belong."""
    order = sorted(range(len(places)), key=lambda i: places[i])
    groups: list[list[int]] = []
    for i in order:
        if groups and places[i] - places[groups[-1][-1]] < _APART:
            groups[-1].append(i)
        else:
            groups.append([i])
    found = list(places)
    for group in groups:
        middle = sum(places[i] for i in group) / len(group)
        for k, i in enumerate(group):
            found[i] = middle + (k - (len(group) - 1) / 2) * _APART if len(group) > 1 else places[i]
    return found


def cost_text(cost: Cost, value: float | None) -> str:
    """A cost with its unit."""
    if cost.name == "seconds" and value is not None:
        return duration(value)
    return short(value, cost.unit) + (f" {cost.title.lower()}" if not cost.unit and value is not None else "")


def _with_unit(cost: Cost) -> str:
    return f"{cost.title} ({cost.unit})" if cost.unit else cost.title


def _stairs(front: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The edge of what is reached: at a cost the best quality up to there."""
    points = [front[0]]
    for cost, quality in front[1:]:
        points += [(cost, points[-1][1]), (cost, quality)]
    return points


def _box(x: float, y: float, width: float, height: float) -> tuple[float, float, float, float]:
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _add_name(
    drawing: Drawing,
    text: str,
    variant: int,
    at: tuple[float, float],
    taken: list[tuple[float, float, float, float]],
    x: Scale,
    y: Scale,
) -> None:
    """A point's name beside it, where there is room; the point still tells it, and the legend."""
    width = text_width(text)
    px, py = at
    places = (
        (px + 9 + width / 2, py),
        (px - 9 - width / 2, py),
        (px + 9 + width / 2, py - 12),
        (px + 9 + width / 2, py + 12),
        (px - 9 - width / 2, py - 12),
        (px - 9 - width / 2, py + 12),
    )
    for cx, cy in places:
        box = _box(cx, cy, width, FONT + 2)
        inside = box[0] >= x.start and box[2] <= drawing.width and box[1] >= y.end - 6 and box[3] <= y.start
        if inside and not any(_overlap(box, other) for other in taken):
            drawing.shapes.append(Words((box[0], cy), text, "name", variant=variant))
            taken.append(box)
            return


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _add_legend(drawing: Drawing, entries: Sequence[tuple[int, str]]) -> None:
    """Names with their line and symbol, below the chart, which grows by them."""
    x, y = 14.0, drawing.height + 8
    for variant, name in entries:
        text = cut(name, drawing.width - 70)
        width = 34 + text_width(text) + 16
        if x + width > drawing.width and x > 14:
            x, y = 14.0, y + _LEGEND_LINE
        drawing.shapes.append(Path(((x, y), (x + 26, y)), "line", variant))
        drawing.shapes.append(Mark((x + 13, y), variant, "mark", 3.2))
        drawing.shapes.append(Words((x + 32, y), text, "label"))
        x += width
    if entries:
        drawing.height = y + _LEGEND_LINE


def legend_sample(variant: int) -> Drawing:
    """The line and symbol of a variant, for a legend outside the chart."""
    drawing = Drawing(30, 14, "")
    drawing.shapes += [Path(((1, 7), (29, 7)), "line", variant), Mark((15, 7), variant, "mark", 3.4)]
    return drawing
