"""Drawings as SVG: for a page, whose style sheet may recolour them, and as files that need nothing."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from importlib import resources
from itertools import groupby

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
    Point,
    Shape,
    Symbol,
    Words,
    dash,
    link_opacity,
    link_width,
    shade,
    symbol,
)
from zoo.drawing.themes import DARK, TINT, Theme, colour_class, colour_rules, theme_of

FAMILY = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"


def svg(drawing: Drawing, *, is_file: bool = False, is_to_scale: bool = False, theme: str = "light") -> str:
    """The drawing, coloured by the page that it stands in.

    is_file: with the ground and all else that a file of its own needs, and the colours of that theme, one of THEMES;
    is_to_scale: no larger and no smaller than it is.
    """
    view = f'viewBox="0 0 {_n(drawing.width)} {_n(drawing.height)}"'
    size = f'width="{_n(drawing.width)}" height="{_n(drawing.height)}"'
    ground, colours = "", theme_of(theme)
    if is_file:
        ground = _by_night() if theme == "auto" else ""
        ground += f'<rect class="ground" {size} fill="{colours.ground}"/>'
    if is_file or is_to_scale:
        view = f"{view} {size}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {view} role="img" font-family="{FAMILY}">',
        f"<title>{escape(drawing.title)}</title>{ground}",
    ]
    write = _Writer(colours, is_file)
    kinds = groupby(
        drawing.shapes,
        key=lambda shape: (getattr(shape, "variant", None), isinstance(shape, Path) and shape.is_clipped),
    )
    for (variant, is_clipped), shapes in kinds:
        inner = "".join(write.shape(shape) for shape in shapes)
        if is_clipped and drawing.frame:
            inner = _clipped(inner, drawing.frame)
        if variant is not None:
            name = f' data-n="{escape(drawing.names[variant])}"' if variant < len(drawing.names) else ""
            inner = f'<g class="v {colour_class(variant)}" data-v="{variant}"{name}>{inner}</g>'
        parts.append(inner)
    return "".join([*parts, "</svg>"])


def _by_night() -> str:
    """What recolours a file by night: readers that know no such rules, and paper, have the colours of the day."""
    rules = f"svg{{{DARK.properties()}}}{colour_rules(DARK)}{drawing_rules()}"
    return f"<style>@media screen and (prefers-color-scheme:dark){{{rules}}}</style>"


def drawing_rules() -> str:
    """The style sheet that colours drawings by a theme's properties and a variant's --c."""
    return (resources.files("zoo.drawing") / "drawing.css").read_text(encoding="utf-8").replace("\n", "")


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


@dataclass(frozen=True)
class _Writer:
    """Shapes as SVG."""

    theme: Theme
    is_file: bool

    def shape(self, shape: Shape) -> str:
        if isinstance(shape, Path):
            return self._path(shape)
        if isinstance(shape, Mark):
            return self._mark(shape)
        if isinstance(shape, Cells):
            return self._cells(shape)
        if isinstance(shape, Link):
            return self._link(shape)
        if isinstance(shape, Box):
            return self._box(shape)
        if isinstance(shape, Arrow):
            return self._arrow(shape)
        return self._words(shape)

    def _cells(self, cells: Cells) -> str:
        """A path for each shade: what few bytes hold is soon drawn."""
        frame = f'x="{_n(cells.at[0])}" y="{_n(cells.at[1])}" width="{_n(cells.width)}" height="{_n(cells.height)}"'
        found = f'<rect class="grid" {frame} fill="none" stroke="{self.theme.grid}"/>'
        found += self._squares(
            cells, 1, "cells", self.theme.ink if cells.variant is None else self.theme.colour(cells.variant)
        )
        if cells.below is not None:
            found += self._squares(
                cells, -1, f"cells below {colour_class(cells.below)}", self.theme.colour(cells.below)
            )
        return found

    def _squares(self, cells: Cells, sign: int, name: str, ink: str) -> str:
        """Those of numbers of that sign."""
        (left, top), size = cells.at, cells.size
        squares: dict[int, list[str]] = {}
        for i, row in enumerate(cells.rows):
            for j, value in enumerate(row):
                if step := shade(sign * value):
                    corner = f"M{_n(left + j * size)} {_n(top + i * size)}"
                    squares.setdefault(step, []).append(f"{corner}h{_n(size)}v{_n(size)}h-{_n(size)}z")
        drawn = "".join(
            f'<path d="{"".join(each)}" fill-opacity="{step / N_SHADES:g}"/>'
            for step, each in sorted(squares.items())
        )
        return f'<g class="{name}" fill="{ink}" shape-rendering="crispEdges">{drawn}</g>'

    def _link(self, link: Link) -> str:
        (x, y), (x2, y2) = link.points
        places = (
            "" if self.is_file else f' data-a="{escape(link.places[0])}" data-b="{escape(link.places[1])}"'
        )
        look = f'stroke="{self.theme.colour(link.variant)}" fill="none" stroke-width="{link_width(link.weight):.2f}"'
        opacity = f'stroke-opacity="{link_opacity(link.weight):.2f}"'
        return f'<path class="link" d="M{_n(x)} {_n(y)}L{_n(x2)} {_n(y2)}" {look} {opacity}{places}/>'

    def _box(self, box: Box) -> str:
        x, y = box.at
        size = f'x="{_n(x)}" y="{_n(y)}" width="{_n(box.width)}" height="{_n(box.height)}" rx="5"'
        if box.variant is None:
            look = (
                f'stroke="{self.theme.ink}" stroke-width="3"'
                if box.is_marked
                else f'stroke="{self.theme.muted}" stroke-dasharray="4 3"'
            )
            return f'<rect class="frame{" marked" if box.is_marked else ""}" {size} fill="none" {look}/>'
        ink, width = self.theme.colour(box.variant), 3 if box.is_marked else 1
        return f'<rect class="box" {size} fill="{ink}" fill-opacity="{TINT}" stroke="{ink}" stroke-width="{width}"/>'

    def _arrow(self, arrow: Arrow) -> str:
        points = "M" + "L".join(f"{_n(x)} {_n(y)}" for x, y in arrow.points)
        head = " ".join(f"{_n(x)},{_n(y)}" for x, y in arrow.head())
        ink = self.theme.ink
        look = f'stroke="{ink}" fill="none" stroke-width="1.2" stroke-linejoin="round"'
        line = f'<path class="wire" d="{points}" {look}/>'
        return f'{line}<polygon class="head" points="{head}" fill="{ink}"/>'

    def _path(self, path: Path) -> str:
        points = "M" + "L".join(f"{_n(x)} {_n(y)}" for x, y in path.points)
        ink = self.theme.colour(path.variant) if path.variant is not None else self.theme.ink
        looks = {
            "axis": f'stroke="{self.theme.muted}" fill="none"',
            "grid": f'stroke="{self.theme.grid}" fill="none"',
            "zero": f'stroke="{self.theme.ink}" fill="none" stroke-width="1.5"',
            "front": f'stroke="{self.theme.muted}" fill="none" stroke-width="1.5" stroke-dasharray="3 3"',
            "band": f'fill="{ink}" fill-opacity="{TINT}" stroke="none"',
            "bar": f'stroke="{ink}" fill="none" stroke-width="2"',
            "thin": f'stroke="{ink}" fill="none" stroke-width="1"',
            "seed": f'stroke="{ink}" fill="none" stroke-width="0.9" stroke-opacity="0.55"',
        }
        look = looks.get(path.style)
        if look is None:
            dashes = dash(path.variant or 0)
            look = f'stroke="{ink}" fill="none" stroke-width="2" stroke-linejoin="round"'
            look += f' stroke-dasharray="{dashes}"' if dashes else ""
        if self.is_file and path.style == "seed":
            return ""
        return f'<path class="{path.style}" d="{points}{"Z" if path.style == "band" else ""}" {look}/>'

    def _mark(self, mark: Mark) -> str:
        ink, kind = self.theme.colour(mark.variant), symbol(mark.variant)
        told = f' data-t="{escape(mark.told)}" data-x="{_n(mark.at[0])}" data-y="{_n(mark.at[1])}"'
        told = "" if self.is_file or not mark.told else told
        look = (
            f'fill="{ink}"'
            if mark.style == "mark"
            else f'fill="{self.theme.ground}" stroke="{ink}" stroke-width="1.3"'
        )
        if kind == "circle":
            x, y = mark.at
            return (
                f'<circle class="{mark.style}" cx="{_n(x)}" cy="{_n(y)}" r="{_n(mark.size)}" {look}{told}/>'
            )
        points = " ".join(f"{_n(x)},{_n(y)}" for x, y in symbol_points(kind, mark.at, mark.size))
        return f'<polygon class="{mark.style}" points="{points}" {look}{told}/>'

    def _words(self, words: Words) -> str:
        size = SMALL if words.style == "tick" else FONT
        ink = self.theme.muted if words.style == "tick" else self.theme.ink
        if words.style == "name" and words.variant is not None:
            ink = self.theme.colour(words.variant)
        x, y = words.at
        turned = f' transform="rotate(-90 {_n(x)} {_n(y)})"' if words.is_upright else ""
        weight = ' font-weight="600"' if words.style == "name" else ""
        place = f' data-place="{escape(words.place)}"' if words.place and not self.is_file else ""
        # The middle of the letters by hand: not every reader of SVG knows dominant-baseline.
        return (
            f'<text class="{words.style}" x="{_n(x)}" y="{_n(y + 0.35 * size)}" font-size="{_n(size)}" fill="{ink}" '
            f'text-anchor="{words.anchor}"{weight}{turned}{place}>{escape(words.text)}</text>'
        )


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
