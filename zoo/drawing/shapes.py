"""Drawings of a few shapes, which are written as SVG and as pixels alike, and the axes of charts."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Literal

from zoo.drawing.numbers import power_text, prefix_of, short

Style = Literal[
    "axis",
    "grid",
    "zero",
    "front",
    "line",
    "thin",
    "seed",
    "band",
    "bar",
    "mark",
    "hollow",
    "tick",
    "label",
    "name",
]
Anchor = Literal["start", "middle", "end"]
Symbol = Literal["circle", "square", "triangle", "diamond"]
Point = tuple[float, float]

DASHES = ("", "7 3", "2 3", "8 3 2 3")
SYMBOLS: tuple[Symbol, ...] = ("circle", "square", "triangle", "diamond")

FIGURE_WIDTH = 620.0
"""Of a figure that stands alone, in points of a sheet; a paper scales it."""
FONT = 12.0
SMALL = 11.0
_LEAST_DECIMAL = 0.001  # below it powers of ten are read more easily
_WIDE, _NARROW = set("mwMW@%—…"), set("iljtfrI.,:;|!'()[]  ")


@dataclass(frozen=True)
class Path:
    """A line through points, or an area with that edge."""

    points: tuple[Point, ...]
    style: Style
    variant: int | None = None
    is_clipped: bool = False
    """Whether it ends at the drawing's frame."""


@dataclass(frozen=True)
class Mark:
    """A symbol at a point, with what is told of it."""

    at: Point
    variant: int
    style: Style = "mark"
    size: float = 4.0
    told: str = ""


@dataclass(frozen=True)
class Words:
    """A line of text; at is the middle of its height."""

    at: Point
    text: str
    style: Style = "tick"
    anchor: Anchor = "start"
    variant: int | None = None
    is_upright: bool = False
    """Whether it is read from below to above."""
    place: str = ""
    """What a page's script knows it by."""


@dataclass(frozen=True)
class Cells:
    """A matrix of numbers from 0, or -1, to 1, row by row from the upper left; the farther from 0, the more ink."""

    at: Point
    """The upper left corner."""
    size: float
    """Of a side of a cell."""
    rows: tuple[tuple[float, ...], ...]
    variant: int | None = None
    below: int | None = None
    """The variant whose colour numbers under 0 have, from -1 to 0; None: there are none."""

    @property
    def width(self) -> float:
        """Of all columns."""
        return self.size * max(map(len, self.rows), default=0)

    @property
    def height(self) -> float:
        """Of all rows."""
        return self.size * len(self.rows)


@dataclass(frozen=True)
class Link:
    """A line between two words, the broader and darker the greater its weight, from 0 to 1."""

    points: tuple[Point, Point]
    weight: float
    variant: int
    places: tuple[str, str] = ("", "")
    """Those of the words."""


@dataclass(frozen=True)
class Box:
    """A rectangle that stands for a thing, tinted with its variant's colour."""

    at: Point
    """The upper left corner."""
    width: float
    height: float
    variant: int | None = None
    """None: no tint, a dashed frame around others."""
    is_marked: bool = False
    """Whether its edge is broad."""


@dataclass(frozen=True)
class Arrow:
    """A line through points, with a head where it ends."""

    points: tuple[Point, ...]

    def head(self, size: float = 4.0) -> tuple[Point, Point, Point]:
        """The corners of the head, the tip first."""
        (x, y), (x2, y2) = self.points[-2:]
        length = math.hypot(x2 - x, y2 - y) or 1.0
        dx, dy = (x2 - x) / length * size, (y2 - y) / length * size
        return (x2, y2), (x2 - 1.6 * dx - dy, y2 - 1.6 * dy + dx), (x2 - 1.6 * dx + dy, y2 - 1.6 * dy - dx)


Shape = Path | Mark | Words | Cells | Link | Box | Arrow


def moved(shape: Shape, right: float, down: float) -> Shape:
    """The shape elsewhere on its sheet."""
    if isinstance(shape, Path | Link | Arrow):
        return replace(shape, points=tuple((x + right, y + down) for x, y in shape.points))  # type: ignore[arg-type]
    return replace(shape, at=(shape.at[0] + right, shape.at[1] + down))


N_SHADES = 20


def shade(value: float) -> int:
    """How dark a cell is, of N_SHADES steps: as a power below 1 of its number, so that small ones are told from
    none."""
    return round(N_SHADES * min(max(value, 0.0), 1.0) ** 0.7)


def link_width(weight: float) -> float:
    """How broad a line of that weight is."""
    return 0.6 + 3.4 * weight


def link_opacity(weight: float) -> float:
    """How dark a line of that weight is."""
    return min(0.12 + 0.75 * weight, 0.85)


@dataclass
class Drawing:
    """Shapes on a sheet of points, the origin at the upper left."""

    width: float
    height: float
    title: str
    """What it shows, for whoever does not see it."""
    names: tuple[str, ...] = ()
    """Of the variants."""
    shapes: list[Shape] = field(default_factory=list)
    frame: tuple[float, float, float, float] | None = None
    """Left, upper, right and lower edge of where lines that are clipped may be."""

    def add_below(self, other: Drawing, gap: float = 0.0) -> None:
        """Another drawing, which clips nothing, below what is there; the sheet grows by it."""
        self.shapes += [moved(shape, 0.0, self.height + gap) for shape in other.shapes]
        self.width = max(self.width, other.width)
        self.height += gap + other.height


def dash(variant: int) -> str:
    """The base is solid, and neighbours differ in dashes as well as in colour."""
    return DASHES[variant % len(DASHES)]


def symbol(variant: int) -> Symbol:
    """What marks a variant's points."""
    return SYMBOLS[variant % len(SYMBOLS)]


def text_width(text: str, size: float = FONT, *, is_bold: bool = False) -> float:
    """About how wide a text is, on the safe side."""
    units = sum(map(_units, text))
    return units * size * (1.1 if is_bold else 1.0)


def _units(character: str) -> float:
    if unicodedata.east_asian_width(character) in "WF" or not character.isprintable():
        return 1.05  # what cannot be printed is shown by a sign as wide
    return 0.95 if character in _WIDE else 0.38 if character in _NARROW else 0.62


def cut(text: str, width: float, *, is_bold: bool = False) -> str:
    """A text that fits into a width, with an ellipsis where it was cut."""
    if text_width(text, is_bold=is_bold) <= width:
        return text
    while text and text_width(f"{text}…", is_bold=is_bold) > width:
        text = text[:-1]
    return f"{text.rstrip()}…"


@dataclass(frozen=True)
class Scale:
    """From numbers to places along an axis."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False
    marked: tuple[float, ...] = ()
    """Where ticks stand, if not at round numbers."""

    def __call__(self, value: float) -> float:
        low, high, value = (self._of(each) for each in (self.low, self.high, value))
        return self.start + (value - low) / (high - low) * (self.end - self.start)

    def _of(self, value: float) -> float:
        return math.log(value) if self.is_log else value

    def texts(self, ticks: Sequence[float]) -> list[str]:
        """What stands at ticks."""
        if self.marked:
            return [f"{each:,.10g}" for each in ticks]
        if self.is_log and any(each < _LEAST_DECIMAL for each in ticks):
            return [power_text(each) for each in ticks]
        return [short(each) for each in ticks] if self.is_log else tick_texts(ticks)

    def ticks(self, n: int) -> list[float]:
        """About n round numbers within it, or those that are marked."""
        if self.marked:
            return list(self.marked)
        if self.is_log:
            found = _log_ticks(self.low, self.high, n)
            if len(found) >= 2:
                return found
        step = _round_step((self.high - self.low) / max(n, 1))
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [round(i * step, 12) if step < 1e6 else i * step for i in range(first, last + 1)]


def scale_of(
    values: Sequence[float],
    start: float,
    end: float,
    *,
    is_log: bool = False,
    margin: float = 0.06,
    marked: tuple[float, ...] = (),
) -> Scale:
    """A scale on which all values have room. Values are not empty, and above 0 where it is logarithmic."""
    low, high = min(values), max(values)
    if is_log:
        room = (high / low) ** margin if high > low else 1.5
        return Scale(low / room, high * room, start, end, is_log=True, marked=marked)
    room = margin * (high - low) or abs(high) * 0.05 or 1.0
    return Scale(low - room, high + room, start, end, marked=marked)


def _round_step(step: float) -> float:
    size = 10.0 ** math.floor(math.log10(step))
    return next(factor * size for factor in (1, 2, 2.5, 5, 10) if factor * size >= step * 0.999)


def _log_ticks(low: float, high: float, n: int) -> list[float]:
    n_decades = math.log10(high / low)
    step = max(1, math.ceil(n_decades / (2 * max(n, 1))))
    first = step * math.floor(math.log10(low) / step)
    powers = range(first, math.ceil(math.log10(high)) + 1, step)
    factors = (1,) if n_decades > 3 else (1, 2, 5)
    return [f * 10.0**p for p in powers for f in factors if low <= f * 10.0**p <= high]


def tick_texts(ticks: Sequence[float]) -> list[str]:
    """Ticks in one unit with one number of digits: those that tell neighbours apart."""
    if not ticks:
        return []
    factor, prefix = prefix_of(max(map(abs, ticks)), least=10_000)
    values = [each / factor for each in ticks]
    steps = [b - a for a, b in pairwise(values)]
    least = min(steps) if steps else abs(values[0]) or 1.0
    n = max(0, -math.floor(math.log10(least) + 1e-9))
    if any(abs(round(each, n) - each) > 0.01 * least for each in values):
        n += 1  # steps of 0.25
    return [f"{each:.{n}f} {prefix}".rstrip().replace("-", "−") if each else "0" for each in values]


def axes(
    drawing: Drawing, x: Scale, y: Scale, *, x_title: str, y_title: str, n_x: int = 6, n_y: int = 5
) -> None:
    """Grid, ticks and titles of a chart; y.start is its lower edge."""
    left, right, bottom, top = x.start, x.end, y.start, y.end
    ticks = y.ticks(n_y)
    for value, text in zip(ticks, y.texts(ticks), strict=True):
        drawing.shapes.append(Path(((left, y(value)), (right, y(value))), "grid"))
        drawing.shapes.append(Words((left - 6, y(value)), text, anchor="end"))
    x_axis(drawing, x, bottom, top, title=x_title, n=n_x)
    drawing.shapes.append(Words((12, (top + bottom) / 2), y_title, "label", "middle", is_upright=True))


def x_axis(drawing: Drawing, x: Scale, bottom: float, top: float, *, title: str, n: int) -> None:
    """The horizontal axis with its grid."""
    ticks = x.ticks(n)
    free = -math.inf
    for value, text in zip(ticks, x.texts(ticks), strict=True):
        at = x(value)
        drawing.shapes.append(Path(((at, bottom), (at, top)), "grid"))
        half = text_width(text, SMALL) / 2
        if at - half > free:
            drawing.shapes.append(Words((at, bottom + 13), text, anchor="middle"))
            free = at + half + 4
    drawing.shapes.append(Path(((x.start, bottom), (x.end, bottom)), "axis"))
    drawing.shapes.append(Words(((x.start + x.end) / 2, bottom + 32), title, "label", "middle"))
