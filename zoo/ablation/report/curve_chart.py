"""The chart of learning curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from zoo.ablation.report.curves import Curve, CurvePoint
from zoo.drawing.legends import add_legend
from zoo.drawing.shapes import Drawing, Mark, Path, Point, axes, scale_of

Against = Literal["step", "tokens", "seconds"]
AGAINST: dict[Against, str] = {"step": "Step", "tokens": "Tokens", "seconds": "Seconds"}

_LEFT = 58.0
_START = 0.2
"""The share of the training that the axis of values need not hold: there all variants fall alike."""


def learning_curves(
    curves: Sequence[Curve], *, title: str, against: Against, width: float, has_legend: bool = False
) -> Drawing | None:
    """A line a variant, the mean over seeds, in a band from the lowest to the highest seed; each seed thinly.

    None where there is no value to draw.
    """
    known = [curve for curve in curves if curve.points]
    if not known:
        return None
    height = 0.42 * width + 60 if width > 500 else 0.72 * width + 60
    bottom = height - 46
    drawing = Drawing(width, height, f"{title} against {AGAINST[against].lower()}, by variant")
    drawing.names = tuple(curve.name for curve in curves)
    ends = [point.x(against) for curve in known for point in curve.points]
    x = scale_of([0.0, *ends], _LEFT, width - 12, margin=0.02)
    y = scale_of(_values_to_hold(known), bottom, 10)
    axes(drawing, x, y, x_title=AGAINST[against], y_title=title, n_x=max(3, int(width / 90)))
    drawing.frame = (x.start, y.end, x.end, y.start)

    def line(points: Sequence[CurvePoint], value: str = "mean") -> tuple[Point, ...]:
        return tuple((x(each.x(against)), y(getattr(each, value))) for each in points)

    for curve in known:
        if any(point.n > 1 for point in curve.points):
            edge = (*line(curve.points, "high"), *line(curve.points, "low")[::-1])
            drawing.shapes.append(Path(edge, "band", curve.variant, is_clipped=True))
    for curve in known:
        for seed in curve.seeds.values():
            drawing.shapes.append(Path(line(seed), "seed", curve.variant, is_clipped=True))
        drawing.shapes.append(Path(line(curve.points), "line", curve.variant, is_clipped=True))
        for point, at in zip(curve.points, line(curve.points), strict=True):
            if y.low <= point.mean <= y.high:
                told = f"{point.where(against)}: {point.told}"
                drawing.shapes.append(Mark(at, curve.variant, "mark", 2.6, told))
    add_legend(drawing, [(curve.variant, curve.name) for curve in known] if has_legend else [])
    return drawing


def _values_to_hold(curves: Sequence[Curve]) -> list[float]:
    """The values that the axis has to hold: those after the start, of trainings that came through where there are any,
    unless a few run away from all others."""
    whole = [curve for curve in curves if curve.came_through] or list(curves)
    last = max(point.step for curve in whole for point in curve.points)
    late = [
        [each for each in curve.points if each.step >= _START * last] or curve.points[-1:] for curve in whole
    ]
    lowest = min(point.low for points in late for point in points)
    tops = sorted(max(point.high for point in points) for points in late)
    middle = tops[(len(tops) - 1) // 2]
    return [lowest, min(tops[-1], lowest + 2 * (middle - lowest)) if middle > lowest else tops[-1]]
