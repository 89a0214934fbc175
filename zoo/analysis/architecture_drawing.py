"""An architecture as a picture, in the manner of the paper's Figure 1: from the inputs below to the output above."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from zoo.analysis.outline import LayerForm, Outline, Part, Role, StackOutline
from zoo.drawing.numbers import short
from zoo.drawing.shapes import (
    FONT,
    SMALL,
    Arrow,
    Box,
    Drawing,
    Mark,
    Path,
    Point,
    Shape,
    Words,
    cut,
    text_width,
)

_TINTS: dict[Role, int] = {
    "embedding": 4, "position": 5, "norm": 5, "mixing": 2, "memory": 7, "ffn": 1, "head": 3,
}  # fmt: skip
_BOX, _GAP, _LINE, _APART = 196.0, 16.0, 15.0, 10.0
_SIDE = 46.0  # beside a box, for the residual's path on the right and the memory's on the left
_MARGIN = 22.0
_COUNTED = 60.0  # in a frame around all layers, left of theirs, for how many they are
_HEADING_LINE = _LINE + 4
_SUM = 8.0  # the radius of a sum's circle
_MOST_DETAILS = 6


def architecture_drawing(outlines: Sequence[Outline]) -> Drawing:
    """The outlines side by side, inputs and titles on one height; what is marked in them has a broad edge."""
    models = [_Model(each) for each in outlines]
    height = max(each.top for each in models) + _HEADING_LINE * max(
        len(each.heading()) - 1 for each in models
    )
    for model in models:
        model.put_heading(height)
    shapes: list[Shape] = []
    left = _MARGIN
    for model in models:
        shapes += [_placed(shape, left, height + 2 * _MARGIN) for shape in model.shapes]
        left += model.width + 2 * _MARGIN
    title = ", beside it ".join(each.title for each in outlines)
    return Drawing(left - _MARGIN, height + 3 * _MARGIN, f"Architecture of {title}", shapes=shapes)


class _Model:
    """One model; heights are counted upwards from the inputs until it is placed."""

    def __init__(self, outline: Outline) -> None:
        self.shapes: list[Shape] = []
        columns = [_Column(stack) for stack in outline.stacks]
        left, memory = 0.0, None
        for column in columns:
            column.draw(left + column.width / 2)
            self.shapes += column.shapes
            if memory is not None:
                self._remember(memory, column)
            memory = (column.center, column.top)
            left += column.width
        y = max(column.top for column in columns)
        self._head(outline.head, columns[-1], y)
        self.width = left
        self.top = y + 2 * _GAP + _box_height(outline.head) + 2 * _GAP
        self._outline = outline

    def heading(self) -> list[Words]:
        """Lines from the upper one down; their heights are not said yet."""
        told, at = self._outline, (self.width / 2, 0.0)
        size = f"d_model {told.d_model:,}, {short(told.n_parameters)} parameters"
        lines = [Words(at, line, "name", "middle") for line in _wrapped(told.title, self.width)]
        lines.append(Words(at, size, "label", "middle"))
        if told.undrawn:
            said = cut(f"not drawn, but different: {', '.join(told.undrawn)}", self.width)
            lines.append(Words(at, said, "tick", "middle"))
        return lines

    def put_heading(self, top: float) -> None:
        """Writes it, its first line at that height."""
        for i, line in enumerate(self.heading()):
            words = replace(line, at=(line.at[0], top - i * _HEADING_LINE))
            self.shapes += _said(words, is_marked=line.style == "label" and self._outline.is_marked)

    def _head(self, head: Part, last: _Column, y: float) -> None:
        x, height = last.center, _box_height(head)
        self.shapes.append(Arrow(((x, last.top), (x, y + _GAP))))
        self.shapes += _box(head, x, y + _GAP)
        self.shapes.append(Arrow(((x, y + _GAP + height), (x, y + 2 * _GAP + height))))

    def _remember(self, memory: Point, column: _Column) -> None:
        """The way from the encoder's end to what reads it."""
        (x, y), between = memory, column.center - column.width / 2 + 4
        over = y + _GAP
        for reader_left, reader_y in column.readers:
            self.shapes.append(
                Arrow(((x, y), (x, over), (between, over), (between, reader_y), (reader_left, reader_y)))
            )


@dataclass
class _Column:
    """A stack, with what goes into it below."""

    stack: StackOutline
    shapes: list[Shape] = field(default_factory=list)
    readers: list[Point] = field(default_factory=list)
    """Where the memory goes in: left edges."""
    center: float = 0.0
    top: float = 0.0

    @property
    def n_wide(self) -> int:
        """Boxes side by side at the widest place."""
        forms = [form for group in self.stack.groups for form in group.forms]
        return max(len(form.sublayers) if "parallel" in form.wiring else 1 for form in forms)

    @property
    def span(self) -> float:
        """Of the boxes side by side."""
        return self.n_wide * (_BOX + _APART) - _APART

    @property
    def width(self) -> float:
        """With room for the paths beside the boxes, the frames and the count."""
        return self.span + 2 * _SIDE + 56 + (2 * _COUNTED if self.stack.n_passes > 1 else 0.0)

    def draw(self, center: float) -> None:
        """Everything, from the input upwards."""
        self.center, stack = center, self.stack
        self._words(0.0, stack.embedding.path)
        self.top = 10.0
        self._put(stack.embedding)
        if stack.position is not None:
            self._position(stack.position)
        if stack.first_norm is not None:
            self._put(stack.first_norm)
        first = self.top + _GAP / 2
        if stack.n_passes > 1:
            self._on(_GAP)
        for group in stack.groups:
            start = self.top + _GAP / 2
            if len(group.forms) > 1:
                self._on(_GAP)
            for form in group.forms:
                self._form(form, group.repeat if len(group.forms) == 1 else 0)
            if len(group.forms) > 1:
                self._on(_GAP / 2)
                self._frame(start, self.top, _times(group.repeat), inset=-7.0)
        if stack.n_passes > 1:
            self._on(_GAP + _LINE)
            half = self.span / 2 + _SIDE - 12
            left, width = self.center - half - _COUNTED, 2 * half + _COUNTED + 14
            self.shapes.append(Box((left, self.top), width, self.top - first))
            words = Words((left + 8, self.top - _LINE), f"{stack.n_passes:,} passes", "name")
            self.shapes += _said(words, is_marked=stack.are_passes_marked)
        if stack.last_norm is not None:
            self._put(stack.last_norm)

    def _form(self, form: LayerForm, repeat: int) -> None:
        start = self.top + _GAP / 2
        self._on(_GAP)
        if not form.wiring:
            for part, _ in form.sublayers:
                self._put(part)
            self.top += _GAP / 2
            self._words(self.top + 4, f"layout {form.layout.name}")
            self.top += _GAP / 2
        elif "parallel" in form.wiring:
            self._parallel(form)
        else:
            for part, norm in form.sublayers:
                self._sublayer(form.wiring, part, norm)
        self._on(_GAP / 2)
        self._frame(start, self.top, _times(repeat), is_marked=form.layout.is_marked)

    def _sublayer(self, wiring: Sequence[str], part: Part, norm: Part) -> None:
        fork, sign = self.top, ""
        for step in wiring:
            if step.startswith("fork"):
                fork, sign = self.top + 3, step.removeprefix("fork").strip()
            elif step == "norm":
                self._put(norm)
            elif step == "sublayer":
                self._put(part)
            elif step == "add":
                self._sum(fork, sign)
            else:
                self._sign(step)

    def _parallel(self, form: LayerForm) -> None:
        at = form.wiring.index("parallel")
        before, branch = form.wiring[:at], form.wiring[at + 1 : form.wiring.index("add")]
        fork = self.top + 3
        if "norm" in before:
            self._put(form.sublayers[0][1])
        split, x, n = self.top, self.center, len(form.sublayers)
        tops = []
        for i, (part, norm) in enumerate(form.sublayers):
            self.center, self.top = x + (i - (n - 1) / 2) * (_BOX + _APART), split + _GAP / 2
            if self.center != x:
                self.shapes.append(Path(((x, split + _GAP / 2), (self.center, split + _GAP / 2)), "thin"))
            for step in branch:
                if step == "norm":
                    self._put(norm)
                elif step == "sublayer":
                    self._put(part)
                else:
                    self._sign(step)
            tops.append((self.center, self.top))
        self.shapes.append(Path(((x, split), (x, split + _GAP / 2)), "thin"))
        self.center, self.top = x, max(y for _, y in tops)
        below, meet = self.top + _GAP / 2, self.top + _GAP
        for side, y in tops:
            self.shapes.append(Arrow(((side, y), (side, below), (x, below), (x, meet))))
        self._sum(fork, "", enters=False)

    def _on(self, height: float) -> None:
        """Straight on."""
        self.shapes.append(Path(((self.center, self.top), (self.center, self.top + height)), "thin"))
        self.top += height

    def _put(self, part: Part) -> None:
        """A box, and the arrow into it."""
        y = self.top + _GAP
        self.shapes.append(Arrow(((self.center, self.top), (self.center, y))))
        self.shapes += _box(part, self.center, y)
        height = _box_height(part)
        if part.role == "memory":
            self.readers.append((self.center - _BOX / 2, y + height / 2))
        self.top = y + height

    def _position(self, part: Part) -> None:
        """A sum, and what is added from the side."""
        y = self.top + _GAP + _SUM
        self._circle(y)
        end = self.center - 2.5 * _SUM
        text, room = f"{part.name} positions", _BOX / 2 + _SIDE
        text = text if text_width(text) <= room else cut(part.name, room)
        self.shapes += _said(Words((end - 4, y), text, "label", "end"), is_marked=part.is_marked)
        self.shapes.append(Arrow(((end, y), (self.center - _SUM, y))))
        self.top = y + _SUM

    def _sum(self, fork: float, sign: str, *, enters: bool = True) -> None:
        """Where the residual meets the branch again."""
        y = self.top + _GAP + _SUM
        if enters:
            self._circle(y)
        else:
            self._plus(y)
        right = self.center + self.span / 2 + 16
        self.shapes.append(Arrow(((self.center, fork), (right, fork), (right, y), (self.center + _SUM, y))))
        if sign:
            self.shapes.append(Words((right + 4, (fork + y) / 2), sign))
        self.top = y + _SUM

    def _circle(self, y: float) -> None:
        self.shapes.append(Arrow(((self.center, self.top), (self.center, y - _SUM))))
        self._plus(y)

    def _plus(self, y: float) -> None:
        x, r = self.center, _SUM - 3
        self.shapes.append(Mark((x, y), 0, "hollow", _SUM))
        self.shapes.append(Path(((x - r, y), (x + r, y)), "thin"))
        self.shapes.append(Path(((x, y - r), (x, y + r)), "thin"))

    def _sign(self, text: str) -> None:
        """An operation by its sign, on the way."""
        y = self.top + _GAP
        self.shapes.append(Arrow(((self.center, self.top), (self.center, y))))
        self._words(y + _LINE / 2, text)
        self.top = y + _LINE

    def _words(self, y: float, text: str) -> None:
        self.shapes.append(Words((self.center, y), text, "label", "middle"))

    def _frame(
        self, start: float, end: float, count: str, inset: float = 0.0, *, is_marked: bool = False
    ) -> None:
        half = self.span / 2 + _SIDE - 12 - inset
        self.shapes.append(Box((self.center - half, end), 2 * half, end - start, is_marked=is_marked))
        if count:
            words = Words((self.center - half - 6, (start + end) / 2), count, "name", "end")
            self.shapes += _said(words, is_marked=self.stack.is_marked)


def _said(words: Words, *, is_marked: bool) -> list[Shape]:
    """A line of text, underlined where it is marked."""
    if not is_marked:
        return [words]
    (x, y), width = words.at, text_width(words.text, is_bold=words.style == "name")
    left = x - width * {"start": 0.0, "middle": 0.5, "end": 1.0}[words.anchor]
    return [words, Path(((left, y - 11), (left + width, y - 11)), "zero")]


def _wrapped(text: str, width: float) -> list[str]:
    """A title in lines of that width, broken between words."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and text_width(longer, is_bold=True) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return [cut(line, width, is_bold=True) for line in lines]


def _times(repeat: int) -> str:
    return f"{repeat:,} ×" if repeat > 1 else ""


def _box_height(part: Part) -> float:
    if part.role == "norm":
        return 22.0
    return 24.0 + _LINE * min(len(part.details), _MOST_DETAILS)


def _box(part: Part, x: float, y: float) -> list[Shape]:
    """A box with its lower edge at y, and what is said in it."""
    height = _box_height(part)
    shapes: list[Shape] = [Box((x - _BOX / 2, y + height), _BOX, height, _TINTS[part.role], part.is_marked)]
    lines = [] if part.role == "norm" else list(part.details)
    if len(lines) > _MOST_DETAILS:
        lines[_MOST_DETAILS - 1 :] = [", ".join(lines[_MOST_DETAILS - 1 :])]
    at = y + height - 12
    shapes.append(Words((x, at), cut(part.name, _BOX - 12, is_bold=True), "name", "middle"))
    for i, line in enumerate(lines):
        fitting = cut(line, (_BOX - 12) * FONT / SMALL)
        shapes.append(Words((x, at - (i + 1) * _LINE), fitting, "tick", "middle"))
    return shapes


def _placed(shape: Shape, left: float, bottom: float) -> Shape:
    """A shape of a model whose lower left corner is there, its heights turned to those of a sheet."""

    def turn(point: Point) -> Point:
        return left + point[0], bottom - point[1]

    if isinstance(shape, Arrow | Path):
        return replace(shape, points=tuple(map(turn, shape.points)))
    assert isinstance(shape, Box | Mark | Words)
    return replace(shape, at=turn(shape.at))
