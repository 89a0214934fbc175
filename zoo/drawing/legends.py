"""Which line is which variant, and what else is said below a figure that stands alone."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.drawing.shapes import SMALL, Drawing, Mark, Path, Words, cut, text_width

_LEGEND_LINE = 18.0
_CAPTION_LINE = 15.0


def add_legend(drawing: Drawing, entries: Sequence[tuple[int, str]]) -> None:
    """Names with their line and symbol, below the chart, which grows by them."""
    x, y = 14.0, drawing.height + 8
    for variant, name in entries:
        text = cut(name, drawing.width - 70)
        width = 34 + text_width(text) + 16
        if x + width > drawing.width and x > 14:
            x, y = 14.0, y + _LEGEND_LINE
        drawing.shapes.append(Path(((x, y), (x + 26, y)), "line", variant))
        drawing.shapes.append(Mark((x + 13, y), variant, "mark", 3.2))
        drawing.shapes.append(Words((x + 32, y), text, "label"))
        x += width
    if entries:
        drawing.height = y + _LEGEND_LINE


def add_caption(drawing: Drawing, text: str) -> None:
    """What has to be known to read the chart, below all that is there, in as many lines as it takes."""
    y = drawing.height + 6
    line = ""
    for word in [*text.split(), ""]:
        longer = f"{line} {word}".lstrip()
        if word and text_width(longer, SMALL) <= drawing.width - 28:
            line = longer
            continue
        drawing.shapes.append(Words((14, y), line))
        line, y = word, y + _CAPTION_LINE
    drawing.height = y


def legend_sample(variant: int) -> Drawing:
    """The line and symbol of a variant, for a legend outside the chart."""
    drawing = Drawing(30, 14, "")
    drawing.shapes += [Path(((1, 7), (29, 7)), "line", variant), Mark((15, 7), variant, "mark", 3.4)]
    return drawing
