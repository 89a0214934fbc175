"""Drawings as PNG, by matplotlib, which is an extra."""

from __future__ import annotations

import io
from importlib.util import find_spec
from typing import Any

from zoo.ablation.report.drawing import (
    FONT,
    GRID,
    INK,
    MUTED,
    SMALL,
    Drawing,
    Mark,
    Path,
    Shape,
    colour,
    dash,
    symbol,
)
from zoo.ablation.report.svg import symbol_points

_DPI = 200
_POINTS_PER_INCH = 96  # of our drawings, as of SVG


def can_draw() -> bool:
    """Whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def png(drawing: Drawing) -> bytes:
    """The drawing as a file's content, on white."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure((drawing.width / _POINTS_PER_INCH, drawing.height / _POINTS_PER_INCH), dpi=_DPI)
    FigureCanvasAgg(figure)
    axes: Any = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, drawing.width)
    axes.set_ylim(drawing.height, 0)
    axes.axis("off")
    for place, shape in enumerate(drawing.shapes):
        _add(axes, shape, place + 1)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def _add(axes: Any, shape: Shape, order: int) -> None:
    from matplotlib import patches

    size = 72 / _POINTS_PER_INCH  # matplotlib's points
    if isinstance(shape, Path):
        ink = INK if shape.variant is None else colour(shape.variant)
        if shape.style == "seed":
            return
        if shape.style == "band":
            axes.add_patch(
                patches.Polygon(shape.points, closed=True, fc=ink, ec="none", alpha=0.13, zorder=order)
            )
            return
        xs, ys = zip(*shape.points, strict=True)
        colours = {"axis": MUTED, "grid": GRID, "front": MUTED, "zero": INK}
        widths = {"axis": 1.0, "grid": 1.0, "front": 1.5, "zero": 1.5}
        width = widths.get(shape.style, 2.0) * size
        line = {"front": "3 3", "line": dash(shape.variant or 0)}.get(shape.style, "")
        lengths = [float(each) * size / width for each in line.split()]
        style: Any = (0, lengths) if lengths else "solid"
        axes.plot(
            xs, ys, color=colours.get(shape.style, ink), lw=width, ls=style, zorder=order,
            solid_capstyle="butt", dash_capstyle="butt",
        )  # fmt: skip
    elif isinstance(shape, Mark):
        ink, kind = colour(shape.variant), symbol(shape.variant)
        fill, edge = (ink, "none") if shape.style == "mark" else ("white", ink)
        look: Any = {"fc": fill, "ec": edge, "lw": 1.3 * size, "zorder": order}
        if kind == "circle":
            axes.add_patch(patches.Circle(shape.at, shape.size, **look))
        else:
            axes.add_patch(patches.Polygon(symbol_points(kind, shape.at, shape.size), closed=True, **look))
    else:
        ink = MUTED if shape.style == "tick" else INK
        if shape.style == "name" and shape.variant is not None:
            ink = colour(shape.variant)
        axes.text(
            *shape.at, shape.text, color=ink, fontsize=(SMALL if shape.style == "tick" else FONT) * size,
            ha={"start": "left", "middle": "center", "end": "right"}[shape.anchor], va="center_baseline",
            rotation=90 if shape.is_upright else 0, rotation_mode="anchor", parse_math=False, zorder=order,
            weight="bold" if shape.style == "name" else "normal",
        )  # fmt: skip
