"""Attention maps drawn: a head as a heat map, a layer as lines between its words, all heads on one sheet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from zoo.analysis.attention_maps import AttentionMap, AttentionMaps
from zoo.drawing.shapes import N_SHADES, SMALL, Cells, Drawing, Link, Words, cut, text_width

CELL = 15.0
"""Of a heat map on the page: room for a line of text."""
_SHEET_CELL = 12.0
_LEAST = 0.02
"""Lines of a smaller weight are left out: they would be a veil."""
_WORD = 92.0
"""The most room for a word."""
_NARROW, _BROAD, _LINES = 24.0, 34.0, 190.0
"""Between words of the drawing of lines, the least and the most; and the height of its lines."""
_FITTING = 340.0
"""The width up to which they are not at the least."""


def words_width(words: Iterable[str]) -> float:
    """The room that the longest of them takes, cut where it is too long."""
    return min(max((text_width(word, SMALL) for word in words), default=0.0), _WORD)


def heat_map(
    shown: AttentionMap, weights: NDArray[np.float32], *, title: str, variant: int | None
) -> Drawing:
    """Weights [T, S] of a head, or of several together: a row a query, a column a key."""
    left, top = words_width(shown.rows) + 10, words_width(shown.keys) + 26
    width = left + CELL * weights.shape[1] + 4
    drawing = Drawing(
        max(width, text_width(title, is_bold=True) + 4), top + CELL * weights.shape[0] + 4, title
    )
    drawing.shapes.append(Words((2, 8), title, "name", variant=variant))
    _add_words(drawing, shown, (left, top), CELL)
    drawing.shapes.append(Cells((left, top), CELL, _rows(weights), variant))
    return drawing


def _add_words(drawing: Drawing, shown: AttentionMap, corner: tuple[float, float], cell: float) -> None:
    left, top = corner
    for i, word in enumerate(shown.rows):
        at = (left - 5, top + (i + 0.5) * cell)
        drawing.shapes.append(Words(at, cut(word, _WORD), anchor="end", place=f"q{i}"))
    for j, word in enumerate(shown.keys):
        at = (left + (j + 0.5) * cell, top - 5)
        drawing.shapes.append(Words(at, cut(word, _WORD), is_upright=True, place=f"k{j}"))


def _rows(weights: NDArray[np.float32]) -> tuple[tuple[float, ...], ...]:
    return tuple(map(tuple, weights.tolist()))


def line_drawing(shown: AttentionMap) -> Drawing:
    """Keys above, queries below, a line for each weight, a colour for each head.

    Source: Vaswani et al. 2017, Figures 3 to 5.
    """
    n = max(len(shown.keys), len(shown.rows))
    above, below = words_width(shown.keys) + 8, words_width(shown.rows) + 8
    edge, pitch = 10.0, max(_NARROW, min(_BROAD, _FITTING / n))
    drawing = Drawing(2 * edge + n * pitch, above + _LINES + below, shown.title)

    def x(i: int, of: Sequence[str]) -> float:
        return edge + (i + 0.5 + (n - len(of)) / 2) * pitch

    top, bottom = above + 3, above + _LINES - 3
    step = min(2.5, 12.0 / len(shown.heads))  # side by side, that no head hides another
    for place, (weights, head) in enumerate(zip(shown.weights, shown.heads, strict=True)):
        aside = (place - (len(shown.heads) - 1) / 2) * step
        for i, j in np.argwhere(weights >= _LEAST).tolist():
            points = (x(i, shown.rows) + aside, bottom), (x(j, shown.keys) + aside, top)
            drawing.shapes.append(Link(points, float(weights[i, j]), head, (f"q{i}", f"k{j}")))
    for j, word in enumerate(shown.keys):
        at = (x(j, shown.keys), above - 2)
        drawing.shapes.append(Words(at, cut(word, _WORD), "label", is_upright=True, place=f"k{j}"))
    for i, word in enumerate(shown.rows):
        at = (x(i, shown.rows), above + _LINES + 2)
        drawing.shapes.append(Words(at, cut(word, _WORD), "label", "end", is_upright=True, place=f"q{i}"))
    return drawing


def sheet(found: AttentionMaps) -> Drawing:
    """Every head of every map on one sheet: a row a map, a column a head."""
    drawing = Drawing(0.0, 62.0, f"Attention of {found.model}")
    gap, edge = 14.0, 14.0
    for shown in found.by_kind:
        left, top = words_width(shown.rows) + 8, words_width(shown.keys) + 8
        step = _SHEET_CELL * len(shown.keys) + gap
        drawing.shapes.append(Words((edge, drawing.height + 8), f"{shown.title} ({shown.part})", "name"))
        y = drawing.height + 36 + top
        for place, (weights, head) in enumerate(zip(shown.weights, shown.heads, strict=True)):
            corner = (edge + left + place * step, y)
            drawing.shapes.append(Words((corner[0], y - top - 6), f"head {head}", "tick"))
            _add_columns(drawing, shown, corner)
            drawing.shapes.append(Cells(corner, _SHEET_CELL, _rows(weights)))
        _add_rows(drawing, shown, (edge + left, y))
        drawing.width = max(drawing.width, edge + left + len(shown.heads) * step)
        drawing.height = y + _SHEET_CELL * len(shown.rows) + 20
    drawing.width = max(drawing.width, 560.0)
    drawing.shapes.append(
        Words((edge, 18), cut(found.outcome, drawing.width - 2 * edge, is_bold=True), "name")
    )
    drawing.shapes.append(Words((edge, 38), "Rows: queries; columns: keys; weights:", "tick"))
    _add_scale(drawing, (edge + 226, 32))
    return drawing


def _add_columns(drawing: Drawing, shown: AttentionMap, corner: tuple[float, float]) -> None:
    for j, word in enumerate(shown.keys):
        at = (corner[0] + (j + 0.5) * _SHEET_CELL, corner[1] - 4)
        drawing.shapes.append(Words(at, cut(word, _WORD), is_upright=True))


def _add_rows(drawing: Drawing, shown: AttentionMap, corner: tuple[float, float]) -> None:
    for i, word in enumerate(shown.rows):
        at = (corner[0] - 4, corner[1] + (i + 0.5) * _SHEET_CELL)
        drawing.shapes.append(Words(at, cut(word, _WORD), anchor="end"))


def scale_drawing() -> Drawing:
    """What the shades of cells mean."""
    drawing = Drawing(210, 16, "Shades of weights from 0 to 1")
    _add_scale(drawing, (10, 2))
    return drawing


def _add_scale(drawing: Drawing, at: tuple[float, float]) -> None:
    values = tuple(i / N_SHADES for i in range(N_SHADES + 1))
    cells = Cells((at[0] + 10, at[1]), 7.0, (values,))
    drawing.shapes.append(Words((at[0] + 4, at[1] + 5), "0", anchor="end"))
    drawing.shapes.append(cells)
    drawing.shapes.append(Words((at[0] + 16 + cells.width, at[1] + 5), "1"))
