"""Drawings as SVG: for a page, whose style sheet may recolour them, and as files that need nothing."""

from __future__ import annotations

import html
import math
from itertools import groupby

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
    Point,
    Shape,
    Symbol,
    Words,
    colour,
    colour_class,
    dash,
    link_opacity,
    link_width,
    shade,
    symbol,
)

FAMILY = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"


def svg(drawing: Drawing, *, is_file: bool = False, is_to_scale: bool = False) -> str:
    """The drawing; is_file: with the white ground and all else that a file of its own needs; is_to_scale: no larger and
    no smaller than it is."""
    size = f'viewBox="0 0 {_n(drawing.width)} {_n(drawing.height)}"'
    ground = ""
    if is_file or is_to_scale:
        size += f' width="{_n(drawing.width)}" height="{_n(drawing.height)}"'
    if is_file:
        ground = f'<rect width="{_n(drawing.width)}" height="{_n(drawing.height)}" fill="#ffffff"/>'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" font-family="{FAMILY}">',
        f"<title>{escape(drawing.title)}</title>{ground}",
    ]
    kinds = groupby(
        drawing.shapes,
        key=lambda shape: (getattr(shape, "variant", None), isinstance(shape, Path) and shape.is_clipped),
    )
    for (variant, is_clipped), shapes in kinds:
        inner = "".join(_shape(shape, is_file) for shape in shapes)
        if is_clipped and drawing.frame:
            inner = _clipped(inner, drawing.frame)
        if variant is not None:
            name = f' data-n="{escape(drawing.names[variant])}"' if variant < len(drawing.names) else ""
            inner = f'<g class="v {colour_class(variant)}" data-v="{variant}"{name}>{inner}</g>'
        parts.append(inner)
    return "".join([*parts, "</svg>"])


def _clipped(inner: str, frame: tuple[float, float, float, float]) -> str:
    """Shapes within a frame: an inner drawing in the same coordinates, which ends at its edges."""
    left, top, right, bottom = frame
    x, y, width, height = (_n(each) for each in (left, top, right - left, bottom - top))
    return f'<svg x="{x}" y="{y}" width="{width}" height="{height}" viewBox="{x} {y} {width} {height}">{inner}</svg>'


def escape(text: str) -> str:
    """Text for HTML and SVG; what cannot be printed, and what turns the direction of writing, is made visible."""
    return html.escape("".join(each if _is_harmless(each) else "�" for each in text), quote=True)


def _is_harmless(character: str) -> bool:
    code = ord(character)
    if code < 0x20 or 0x7F <= code < 0xA0 or 0xD800 <= code < 0xE000 or code in (0xFFFE, 0xFFFF):
        return character in "\n\t"
    return not (0x202A <= code <= 0x202E or 0x2066 <= code <= 0x2069 or code in (0x200E, 0x200F))


def symbol_points(kind: Symbol, at: Point, size: float) -> tuple[Point, ...]:
    """The corners of a symbol that has some."""
    x, y = at
    if kind == "square":
        r = size * 0.9
        return ((x - r, y - r), (x + r, y - r), (x + r, y + r), (x - r, y + r))
    if kind == "triangle":
        r = size * 1.25
        return tuple(
            (x + r * math.sin(turn), y - r * math.cos(turn)) for turn in (0, 2 * math.pi / 3, 4 * math.pi / 3)
        )
    r = size * 1.3
    return ((x, y - r), (x + r, y), (x, y + r), (x - r, y))


def _shape(shape: Shape, is_file: bool) -> str:
    if isinstance(shape, Path):
        return _path(shape, is_file)
    if isinstance(shape, Mark):
        return _mark(shape, is_file)
    if isinstance(shape, Cells):
        return _cells(shape)
    if isinstance(shape, Link):
        return _link(shape, is_file)
    if isinstance(shape, Box):
        return _box(shape)
    if isinstance(shape, Arrow):
        return _arrow(shape)
    return _words(shape, is_file)


def _cells(cells: Cells) -> str:
    """A path for each shade: what few bytes hold is soon drawn."""
    ink = INK if cells.variant is None else colour(cells.variant)
    (left, top), size = cells.at, cells.size
    squares: dict[int, list[str]] = {}
    for i, row in enumerate(cells.rows):
        for j, value in enumerate(row):
            if step := shade(value):
                corner = f"M{_n(left + j * size)} {_n(top + i * size)}"
                squares.setdefault(step, []).append(f"{corner}h{_n(size)}v{_n(size)}h-{_n(size)}z")
    drawn = "".join(
        f'<path d="{"".join(each)}" fill-opacity="{step / N_SHADES:g}"/>'
        for step, each in sorted(squares.items())
    )
    frame = f'x="{_n(left)}" y="{_n(top)}" width="{_n(cells.width)}" height="{_n(cells.height)}"'
    return (
        f'<rect class="grid" {frame} fill="none" stroke="{GRID}"/>'
        f'<g class="cells" fill="{ink}" shape-rendering="crispEdges">{drawn}</g>'
    )


def _link(link: Link, is_file: bool) -> str:
    (x, y), (x2, y2) = link.points
    places = "" if is_file else f' data-a="{escape(link.places[0])}" data-b="{escape(link.places[1])}"'
    return (
        f'<path class="link" d="M{_n(x)} {_n(y)}L{_n(x2)} {_n(y2)}" stroke="{colour(link.variant)}" fill="none" '
        f'stroke-width="{link_width(link.weight):.2f}" stroke-opacity="{link_opacity(link.weight):.2f}"{places}/>'
    )


def _box(box: Box) -> str:
    x, y = box.at
    size = f'x="{_n(x)}" y="{_n(y)}" width="{_n(box.width)}" height="{_n(box.height)}" rx="5"'
    if box.variant is None:
        look = (
            f'stroke="{INK}" stroke-width="3"'
            if box.is_marked
            else f'stroke="{MUTED}" stroke-dasharray="4 3"'
        )
        return f'<rect class="frame" {size} fill="none" {look}/>'
    ink, width = colour(box.variant), 3 if box.is_marked else 1
    return (
        f'<rect class="box" {size} fill="{ink}" fill-opacity="0.13" stroke="{ink}" stroke-width="{width}"/>'
    )


def _arrow(arrow: Arrow) -> str:
    points = "M" + "L".join(f"{_n(x)} {_n(y)}" for x, y in arrow.points)
    head = " ".join(f"{_n(x)},{_n(y)}" for x, y in arrow.head())
    line = f'<path class="wire" d="{points}" stroke="{INK}" fill="none" stroke-width="1.2" stroke-linejoin="round"/>'
    return f'{line}<polygon class="head" points="{head}" fill="{INK}"/>'


def _path(path: Path, is_file: bool) -> str:
    points = "M" + "L".join(f"{_n(x)} {_n(y)}" for x, y in path.points)
    ink = colour(path.variant) if path.variant is not None else INK
    looks = {
        "axis": f'stroke="{MUTED}" fill="none"',
        "grid": f'stroke="{GRID}" fill="none"',
        "zero": f'stroke="{INK}" fill="none" stroke-width="1.5"',
        "front": f'stroke="{MUTED}" fill="none" stroke-width="1.5" stroke-dasharray="3 3"',
        "band": f'fill="{ink}" fill-opacity="0.13" stroke="none"',
        "bar": f'stroke="{ink}" fill="none" stroke-width="2"',
        "thin": f'stroke="{ink}" fill="none" stroke-width="1"',
        "seed": f'stroke="{ink}" fill="none" stroke-width="0.9" stroke-opacity="0.55"',
    }
    look = looks.get(path.style)
    if look is None:
        dashes = dash(path.variant or 0)
        look = f'stroke="{ink}" fill="none" stroke-width="2" stroke-linejoin="round"'
        look += f' stroke-dasharray="{dashes}"' if dashes else ""
    if is_file and path.style == "seed":
        return ""
    return f'<path class="{path.style}" d="{points}{"Z" if path.style == "band" else ""}" {look}/>'


def _mark(mark: Mark, is_file: bool) -> str:
    ink, kind = colour(mark.variant), symbol(mark.variant)
    told = f' data-t="{escape(mark.told)}" data-x="{_n(mark.at[0])}" data-y="{_n(mark.at[1])}"'
    told = "" if is_file or not mark.told else told
    look = f'fill="{ink}"' if mark.style == "mark" else f'fill="#ffffff" stroke="{ink}" stroke-width="1.3"'
    if kind == "circle":
        x, y = mark.at
        return f'<circle class="{mark.style}" cx="{_n(x)}" cy="{_n(y)}" r="{_n(mark.size)}" {look}{told}/>'
    points = " ".join(f"{_n(x)},{_n(y)}" for x, y in symbol_points(kind, mark.at, mark.size))
    return f'<polygon class="{mark.style}" points="{points}" {look}{told}/>'


def _words(words: Words, is_file: bool) -> str:
    size = SMALL if words.style == "tick" else FONT
    ink = MUTED if words.style == "tick" else INK
    if words.style == "name" and words.variant is not None:
        ink = colour(words.variant)
    x, y = words.at
    turned = f' transform="rotate(-90 {_n(x)} {_n(y)})"' if words.is_upright else ""
    weight = ' font-weight="600"' if words.style == "name" else ""
    place = f' data-place="{escape(words.place)}"' if words.place and not is_file else ""
    # The middle of the letters by hand: not every reader of SVG knows dominant-baseline.
    return (
        f'<text class="{words.style}" x="{_n(x)}" y="{_n(y + 0.35 * size)}" font-size="{_n(size)}" fill="{ink}" '
        f'text-anchor="{words.anchor}"{weight}{turned}{place}>{escape(words.text)}</text>'
    )


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
