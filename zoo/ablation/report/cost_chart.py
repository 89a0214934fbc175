"""The chart of quality against cost."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from zoo.ablation.report.gathering import Cost, Report
from zoo.drawing.legends import add_legend
from zoo.drawing.numbers import short, time_text, with_spread
from zoo.drawing.shapes import (
    FONT,
    Drawing,
    Mark,
    Path,
    Scale,
    Words,
    axes,
    cut,
    scale_of,
    text_width,
)

_LEFT = 58.0
_SAME = 3.0  # what is nearer than this has one cost, as far as is seen
_APART = 11.0  # between points of one cost
_REACH = 36.0  # of all of them together: more would tell of other costs

_Box = tuple[float, float, float, float]


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
    drawing = Drawing(width, height, f"{title}, by variant", report.names)
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
    decimals = report.decimals()
    places = [
        (across, y(row.summary.mean))
        for across, (_, row, _) in zip(_side_by_side([x(value) for value in values]), shown, strict=True)
        if row.summary.mean is not None
    ]
    front = sorted(place for place, (i, _, _) in zip(places, shown, strict=True) if cost.is_on_front[i])
    edge = _stairs(front)
    if len(edge) > 1:
        drawing.shapes.append(Path(tuple(edge), "front"))
    for (across, up), (i, row, value) in zip(places, shown, strict=True):
        mean, spread = row.summary.mean, row.summary.spread
        if mean is not None and spread:
            drawing.shapes.append(Path(((across, y(mean - spread)), (across, y(mean + spread))), "bar", i))
        told = f"{report.title} {with_spread(mean, spread, decimals)}, {cost_text(cost, value)}"
        told += ", on the front" if cost.is_on_front[i] else ""
        drawing.shapes.append(Mark((across, up), i, "mark", 5, told))
    taken = [_box(*place, 12, 12) for place in places]
    taken += [(x0, min(y0, y1) - 1, x1, max(y0, y1) + 1) for (x0, y0), (x1, y1) in pairwise(edge)]
    for (across, up), (_, row, _) in zip(places, shown, strict=True):
        mean, spread = row.summary.mean, row.summary.spread
        if mean is not None and spread:
            taken.append(_box(across, up, 3, 2 * (y(mean - spread) - up)))
    for place, (i, row, _) in zip(places, shown, strict=True):
        _add_name(drawing, cut(row.name, 150, is_bold=True), i, place, taken, x, y)
    add_legend(drawing, [(i, row.name) for i, row, _ in shown] if has_legend else [])
    return drawing


def _side_by_side(places: Sequence[float]) -> list[float]:
    """Places that are all apart: those of one cost stand beside each other, around where they belong."""
    order = sorted(range(len(places)), key=lambda i: places[i])
    groups: list[list[int]] = []
    for i in order:
        if groups and places[i] - places[groups[-1][0]] < _SAME:
            groups[-1].append(i)
        else:
            groups.append([i])
    found = list(places)
    for group in groups:
        middle = sum(places[i] for i in group) / len(group)
        apart = min(_APART, _REACH / max(len(group) - 1, 1))
        for k, i in enumerate(group):
            found[i] = middle + (k - (len(group) - 1) / 2) * apart if len(group) > 1 else places[i]
    return found


def cost_text(cost: Cost, value: float | None) -> str:
    """A cost with its unit."""
    if cost.name == "seconds" and value is not None:
        return time_text(value)
    return short(value, cost.unit) + (f" {cost.title.lower()}" if not cost.unit and value is not None else "")


def _with_unit(cost: Cost) -> str:
    return f"{cost.title} ({cost.unit})" if cost.unit else cost.title


def _stairs(front: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The edge of what is reached, through places on the sheet: at a cost the best quality up to there."""
    points = list(front[:1])
    for cost, quality in front[1:]:
        points += [(cost, points[-1][1]), (cost, quality)]
    return points


def _box(x: float, y: float, width: float, height: float) -> _Box:
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _add_name(
    drawing: Drawing,
    text: str,
    variant: int,
    at: tuple[float, float],
    taken: list[_Box],
    x: Scale,
    y: Scale,
) -> None:
    """A point's name beside it, where there is room; the point still tells it, and the legend."""
    width = text_width(text, is_bold=True)
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


def _overlap(a: _Box, b: _Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
