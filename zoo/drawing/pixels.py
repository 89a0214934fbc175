"""Drawings as PNG, by matplotlib, which is an extra."""

from __future__ import annotations

import io
from importlib.util import find_spec
from typing import Any

from zoo.drawing.shapes import (
    FONT,
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
    dash,
    link_opacity,
    link_width,
    shade,
    symbol,
)
from zoo.drawing.svg import symbol_points
from zoo.drawing.themes import LIGHT, TINT, Theme

_DPI = 200
_POINTS_PER_INCH = 96  # of our drawings, as of SVG
_SIZE = 72 / _POINTS_PER_INCH  # of such a point, in those of matplotlib


def can_draw() -> bool:
    """Whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def png(drawing: Drawing, theme: Theme = LIGHT) -> bytes:
    """The drawing as a file's content, on the theme's ground."""
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
        artist = _artist(axes, shape, theme)
        if artist is None:
            continue
        artist.set_zorder(place + 1)
        if drawing.frame and isinstance(shape, Path) and shape.is_clipped:
            left, top, right, bottom = drawing.frame
            frame = patches.Rectangle((left, top), right - left, bottom - top, transform=axes.transData)
            artist.set_clip_path(frame)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", facecolor=theme.ground, metadata={"Software": None})
    return stream.getvalue()


def _artist(axes: Any, shape: Shape, theme: Theme) -> Any:
    if isinstance(shape, Path):
        return _path(axes, shape, theme)
    if isinstance(shape, Cells):
        return _cells(axes, shape, theme)
    if isinstance(shape, Box):
        return _box(axes, shape, theme)
    if isinstance(shape, Arrow):
        return _arrow(axes, shape, theme)
    if isinstance(shape, Link):
        xs, ys = zip(*shape.points, strict=True)
        width, alpha = link_width(shape.weight) * _SIZE, link_opacity(shape.weight)
        return axes.plot(
            xs, ys, color=theme.colour(shape.variant), lw=width, alpha=alpha, solid_capstyle="butt"
        )[0]
    return _symbol_or_words(axes, shape, theme)


def _cells(axes: Any, cells: Cells, theme: Theme) -> Any:
    """The squares in one collection, behind them the frame of all."""
    from matplotlib import collections, patches

    (left, top), size = cells.at, cells.size
    axes.add_patch(patches.Rectangle(cells.at, cells.width, cells.height, fc="none", ec=theme.grid, lw=_SIZE))
    ink = theme.ink if cells.variant is None else theme.colour(cells.variant)
    below = ink if cells.below is None else theme.colour(cells.below)
    found = [
        (
            patches.Rectangle((left + j * size, top + i * size), size, size),
            (*_rgb(ink if value > 0 else below), shade(abs(value)) / N_SHADES),
        )
        for i, row in enumerate(cells.rows)
        for j, value in enumerate(row)
        if shade(abs(value) if cells.below is not None else value)
    ]
    squares = collections.PatchCollection([square for square, _ in found], lw=0, antialiased=False)
    squares.set_facecolor([look for _, look in found])
    return axes.add_collection(squares, autolim=False)


def _box(axes: Any, box: Box, theme: Theme) -> Any:
    from matplotlib import patches

    look: Any = {"fc": "none", "ec": theme.muted, "lw": _SIZE, "ls": (0, (4, 3))}
    if box.variant is None and box.is_marked:
        look = {"fc": "none", "ec": theme.ink, "lw": 3 * _SIZE}
    elif box.variant is not None:
        ink = theme.colour(box.variant)
        look = {"fc": (*_rgb(ink), TINT), "ec": ink, "lw": (3 if box.is_marked else 1) * _SIZE}
    shape = patches.FancyBboxPatch(
        box.at, box.width, box.height, boxstyle="round,pad=0,rounding_size=5", **look
    )
    return axes.add_patch(shape)


def _arrow(axes: Any, arrow: Arrow, theme: Theme) -> Any:
    """The head in front of its line."""
    from matplotlib import patches

    xs, ys = zip(*arrow.points, strict=True)
    axes.plot(xs, ys, color=theme.ink, lw=1.2 * _SIZE, solid_capstyle="butt", zorder=1000)
    return axes.add_patch(patches.Polygon(arrow.head(), closed=True, fc=theme.ink, ec="none"))


def _rgb(ink: str) -> tuple[float, float, float]:
    red, green, blue = (int(ink[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue


def _path(axes: Any, path: Path, theme: Theme) -> Any:
    """A line or an area; None of a seed's line, which figures go without."""
    from matplotlib import patches

    ink = theme.ink if path.variant is None else theme.colour(path.variant)
    if path.style == "seed":
        return None
    if path.style == "band":
        return axes.add_patch(patches.Polygon(path.points, closed=True, fc=ink, ec="none", alpha=TINT))
    xs, ys = zip(*path.points, strict=True)
    colours = {"axis": theme.muted, "grid": theme.grid, "front": theme.muted, "zero": theme.ink}
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


def _symbol_or_words(axes: Any, shape: Mark | Words, theme: Theme) -> Any:
    from matplotlib import patches

    if isinstance(shape, Mark):
        ink, kind = theme.colour(shape.variant), symbol(shape.variant)
        fill, edge = (ink, "none") if shape.style == "mark" else (theme.ground, ink)
        look: Any = {"fc": fill, "ec": edge, "lw": 1.3 * _SIZE}
        if kind == "circle":
            return axes.add_patch(patches.Circle(shape.at, shape.size, **look))
        return axes.add_patch(patches.Polygon(symbol_points(kind, shape.at, shape.size), closed=True, **look))
    ink = theme.muted if shape.style == "tick" else theme.ink
    if shape.style == "name" and shape.variant is not None:
        ink = theme.colour(shape.variant)
    return axes.text(
        *shape.at, shape.text, color=ink, fontsize=(SMALL if shape.style == "tick" else FONT) * _SIZE,
        ha={"start": "left", "middle": "center", "end": "right"}[shape.anchor], va="center_baseline",
        rotation=90 if shape.is_upright else 0, rotation_mode="anchor", parse_math=False,
        weight="bold" if shape.style == "name" else "normal",
    )  # fmt: skip
