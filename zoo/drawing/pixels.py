"""Drawings as PNG, by matplotlib, which is an extra."""

from __future__ import annotations

import io
from importlib.util import find_spec
from typing import Any

from zoo.drawing.shapes import (
    FONT,
    GRID,
    INK,
    MUTED,
    N_SHADES,
    SMALL,
    Arrow,
    Box,
    Cells,
    Drawing,
    Link,
    Mark,
    Path,
    Shape,
    Words,
    colour,
    dash,
    link_opacity,
    link_width,
    shade,
    symbol,
)
from zoo.drawing.svg import symbol_points

_DPI = 200
_POINTS_PER_INCH = 96  # of our drawings, as of SVG
_SIZE = 72 / _POINTS_PER_INCH  # of such a point, in those of matplotlib


def can_draw() -> bool:
    """Whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def png(drawing: Drawing) -> bytes:
    """The drawing as a file's content, on white."""
    from matplotlib import patches
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure((drawing.width / _POINTS_PER_INCH, drawing.height / _POINTS_PER_INCH), dpi=_DPI)
    FigureCanvasAgg(figure)
    axes: Any = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, drawing.width)
    axes.set_ylim(drawing.height, 0)
    axes.axis("off")
    for place, shape in enumerate(drawing.shapes):
        artist = _artist(axes, shape)
        if artist is None:
            continue
        artist.set_zorder(place + 1)
        if drawing.frame and isinstance(shape, Path) and shape.is_clipped:
            left, top, right, bottom = drawing.frame
            frame = patches.Rectangle((left, top), right - left, bottom - top, transform=axes.transData)
            artist.set_clip_path(frame)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def _artist(axes: Any, shape: Shape) -> Any:
    if isinstance(shape, Path):
        return _path(axes, shape)
    if isinstance(shape, Cells):
        return _cells(axes, shape)
    if isinstance(shape, Box):
        return _box(axes, shape)
    if isinstance(shape, Arrow):
        return _arrow(axes, shape)
    if isinstance(shape, Link):
        xs, ys = zip(*shape.points, strict=True)
        width, alpha = link_width(shape.weight) * _SIZE, link_opacity(shape.weight)
        return axes.plot(xs, ys, color=colour(shape.variant), lw=width, alpha=alpha, solid_capstyle="butt")[0]
    return _symbol_or_words(axes, shape)


def _cells(axes: Any, cells: Cells) -> Any:
    """The squares in one collection, behind them the frame of all."""
    from matplotlib import collections, patches

    (left, top), size = cells.at, cells.size
    axes.add_patch(patches.Rectangle(cells.at, cells.width, cells.height, fc="none", ec=GRID, lw=_SIZE))
    ink = INK if cells.variant is None else colour(cells.variant)
    found = [
        (patches.Rectangle((left + j * size, top + i * size), size, size), shade(value) / N_SHADES)
        for i, row in enumerate(cells.rows)
        for j, value in enumerate(row)
        if shade(value)
    ]
    squares = collections.PatchCollection([square for square, _ in found], lw=0, antialiased=False)
    squares.set_facecolor([(*_rgb(ink), alpha) for _, alpha in found])
    return axes.add_collection(squares, autolim=False)


def _box(axes: Any, box: Box) -> Any:
    from matplotlib import patches

    look: Any = {"fc": "none", "ec": MUTED, "lw": _SIZE, "ls": (0, (4, 3))}
    if box.variant is None and box.is_marked:
        look = {"fc": "none", "ec": INK, "lw": 3 * _SIZE}
    elif box.variant is not None:
        ink = colour(box.variant)
        look = {"fc": (*_rgb(ink), 0.13), "ec": ink, "lw": (3 if box.is_marked else 1) * _SIZE}
    shape = patches.FancyBboxPatch(
        box.at, box.width, box.height, boxstyle="round,pad=0,rounding_size=5", **look
    )
    return axes.add_patch(shape)


def _arrow(axes: Any, arrow: Arrow) -> Any:
    """The head in front of its line."""
    from matplotlib import patches

    xs, ys = zip(*arrow.points, strict=True)
    axes.plot(xs, ys, color=INK, lw=1.2 * _SIZE, solid_capstyle="butt", zorder=1000)
    return axes.add_patch(patches.Polygon(arrow.head(), closed=True, fc=INK, ec="none"))


def _rgb(ink: str) -> tuple[float, float, float]:
    red, green, blue = (int(ink[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue


def _path(axes: Any, path: Path) -> Any:
    """A line or an area; None of a seed's line, which figures go without."""
    from matplotlib import patches

    ink = INK if path.variant is None else colour(path.variant)
    if path.style == "seed":
        return None
    if path.style == "band":
        return axes.add_patch(patches.Polygon(path.points, closed=True, fc=ink, ec="none", alpha=0.13))
    xs, ys = zip(*path.points, strict=True)
    colours = {"axis": MUTED, "grid": GRID, "front": MUTED, "zero": INK}
    widths = {"thin": 1.0, "axis": 1.0, "grid": 1.0, "front": 1.5, "zero": 1.5}
    width = widths.get(path.style, 2.0) * _SIZE
    dashes = {"front": "3 3", "line": dash(path.variant or 0)}.get(path.style, "").split()
    style: Any = (0, [float(each) * _SIZE / width for each in dashes]) if dashes else "solid"
    (line,) = axes.plot(
        xs,
        ys,
        color=colours.get(path.style, ink),
        lw=width,
        ls=style,
        solid_capstyle="butt",
        dash_capstyle="butt",
    )
    return line


def _symbol_or_words(axes: Any, shape: Mark | Words) -> Any:
    from matplotlib import patches

    if isinstance(shape, Mark):
        ink, kind = colour(shape.variant), symbol(shape.variant)
        fill, edge = (ink, "none") if shape.style == "mark" else ("white", ink)
        look: Any = {"fc": fill, "ec": edge, "lw": 1.3 * _SIZE}
        if kind == "circle":
            return axes.add_patch(patches.Circle(shape.at, shape.size, **look))
        return axes.add_patch(patches.Polygon(symbol_points(kind, shape.at, shape.size), closed=True, **look))
    ink = MUTED if shape.style == "tick" else INK
    if shape.style == "name" and shape.variant is not None:
        ink = colour(shape.variant)
    return axes.text(
        *shape.at, shape.text, color=ink, fontsize=(SMALL if shape.style == "tick" else FONT) * _SIZE,
        ha={"start": "left", "middle": "center", "end": "right"}[shape.anchor], va="center_baseline",
        rotation=90 if shape.is_upright else 0, rotation_mode="anchor", parse_math=False,
        weight="bold" if shape.style == "name" else "normal",
    )  # fmt: skip
