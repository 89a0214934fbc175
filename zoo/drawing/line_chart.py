"""Charts of lines with symbols, on axes that may be logarithmic: figures that stand alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from zoo.drawing.legends import add_caption, add_legend
from zoo.drawing.shapes import FIGURE_WIDTH, Drawing, Mark, Path, Point, axes, scale_of

_LEFT = 62.0


@dataclass(frozen=True)
class Line:
    """What a chart shows of one variant, in its colour, dashes and symbol."""

    name: str
    points: tuple[Point, ...]
    """What the line goes through."""
    marks: tuple[Point, ...] = ()
    """Where its symbol stands."""
    bars: tuple[tuple[float, float, float], ...] = ()
    """Upright strokes: where, from, to."""
    beside: tuple[Point, ...] = ()
    """What a second, thin line goes through."""


@dataclass(frozen=True)
class Axis:
    """One of a chart's two axes."""

    title: str
    is_log: bool = False
    """On a logarithmic one whatever is not above 0 has no place: there a line ends, and goes on behind it."""
    ticks: tuple[float, ...] = ()
    """Where they stand; empty: at round numbers."""


def line_chart(
    lines: Sequence[Line], *, title: str, x: Axis, y: Axis, caption: str = "", width: float = FIGURE_WIDTH
) -> Drawing:
    """The lines with their legend and the caption below them.

    Raises: ValueError where no line has a point that can be drawn.
    """
    height = 0.5 * width + 60
    drawing = Drawing(width, height, title, tuple(line.name for line in lines))
    pieces = [list(_drawable(line, x, y)) for line in lines]
    points = [point for own in pieces for run in own for point in run]
    if not points:
        raise ValueError(f"{title}: nothing to draw: no value is above 0 on a logarithmic axis")
    across = scale_of(
        [each for each, _ in points], _LEFT, width - 16, is_log=x.is_log, margin=0.03, marked=x.ticks
    )
    up = scale_of([each for _, each in points], height - 46, 12, is_log=y.is_log, marked=y.ticks)
    axes(drawing, across, up, x_title=x.title, y_title=y.title, n_x=max(3, int(width / 90)))

    def on_sheet(run: Sequence[Point]) -> tuple[Point, ...]:
        return tuple((across(a), up(b)) for a, b in run)

    for i, line in enumerate(lines):
        drawing.shapes += [Path(on_sheet(run), "thin", i) for run in _runs(line.beside, x, y)]
        drawing.shapes += [Path(on_sheet(run), "line", i) for run in _runs(line.points, x, y)]
        drawing.shapes += [Path(on_sheet(run), "bar", i) for run in _strokes(line, x, y)]
    for i, line in enumerate(lines):
        places = [on_sheet(run) for run in _runs(line.marks, x, y)]
        drawing.shapes += [Mark(place, i, "mark", 4.0) for run in places for place in run]
    add_legend(drawing, [(i, line.name) for i, line in enumerate(lines)])
    if caption:
        add_caption(drawing, caption)
    return drawing


def _drawable(line: Line, x: Axis, y: Axis) -> Iterator[list[Point]]:
    for points in (line.points, line.marks, line.beside):
        yield from _runs(points, x, y)
    yield from _strokes(line, x, y)


def _strokes(line: Line, x: Axis, y: Axis) -> Iterator[list[Point]]:
    for at, low, high in line.bars:
        yield from (run for run in _runs(((at, low), (at, high)), x, y) if len(run) == 2)


def _runs(points: Sequence[Point], x: Axis, y: Axis) -> Iterator[list[Point]]:
    """The points in pieces: those that follow each other and have a place."""
    run: list[Point] = []
    for a, b in points:
        if (a > 0 or not x.is_log) and (b > 0 or not y.is_log):
            run.append((a, b))
        elif run:
            yield run
            run = []
    if run:
        yield run
