"""Matrices as heat maps with axes, and the sheets of positions and masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from zoo.analysis.masks import SeenMap
from zoo.analysis.positions import PositionNumbers
from zoo.drawing.legends import add_caption
from zoo.drawing.line_chart import Axis, Line, line_chart
from zoo.drawing.numbers import short
from zoo.drawing.shapes import FIGURE_WIDTH, N_SHADES, SMALL, Cells, Drawing, Words, cut, text_width

MOST_CELLS = 250_000
"""Of a heat map, which a browser can still show."""
_ABOVE, _BELOW = 1, 2  # variants: blue and orange
_LEFT, _ROOM = 62.0, FIGURE_WIDTH - 80.0
_TICKS = 8


def matrix_drawing(
    numbers: NDArray[np.float64],
    title: str,
    *,
    rows: str,
    columns: str,
    first_row: int = 0,
    caption: str = "",
    largest: float | None = None,
    cell: float | None = None,
) -> Drawing:
    """A matrix as cells, numbers under 0 in another colour; the darkest are the largest, or as large as is said."""
    most = largest or float(np.abs(numbers).max(initial=0.0)) or 1.0
    height, width = numbers.shape
    size = cell or max(1.0, min(12.0, _ROOM / max(width, 1)))
    top = 52.0
    drawing = Drawing(max(FIGURE_WIDTH, _LEFT + width * size + 18), top + height * size + 8, title)
    drawing.shapes.append(Words((14, 12), cut(title, drawing.width - 28, is_bold=True), "name"))
    drawing.shapes.append(Words((_LEFT + width * size / 2, 31), columns, "label", "middle"))
    drawing.shapes.append(Words((12, top + height * size / 2), rows, "label", "middle", is_upright=True))
    free = -1.0
    for j in _ticks(width, size):
        x, text = _LEFT + (j + 0.5) * size, f"{j:,}"
        if x - text_width(text, SMALL) / 2 > free:
            drawing.shapes.append(Words((x, top - 7), text, anchor="middle"))
            free = x + text_width(text, SMALL) / 2 + 4
    for i in _ticks(height, size):
        text = f"{i + first_row:,}".replace("-", "−")
        drawing.shapes.append(Words((_LEFT - 5, top + (i + 0.5) * size), text, anchor="end"))
    scaled = tuple(map(tuple, (numbers / most).tolist()))
    is_signed = bool((numbers < 0).any())
    drawing.shapes.append(Cells((_LEFT, top), size, scaled, _ABOVE, _BELOW if is_signed else None))
    if largest is None:
        _add_scale(drawing, most, is_signed=is_signed)
    if caption:
        add_caption(drawing, caption)
    return drawing


def _ticks(n: int, size: float) -> range:
    step = max(1, -(-n // max(1, min(_TICKS * 2, int(n * size / 14)))))
    rounded = next(each * 10**k for k in range(9) for each in (1, 2, 4, 8) if each * 10**k >= step)
    return range(0, n, rounded)


def _add_scale(drawing: Drawing, most: float, *, is_signed: bool) -> None:
    """What the shades of cells mean."""
    half = tuple(i / N_SHADES for i in range(N_SHADES + 1))
    values = (*(-each for each in half[:0:-1]), *half) if is_signed else half
    low = f"−{short(most)}" if is_signed else "0"
    x = _LEFT + text_width(low, SMALL) + 4
    y = drawing.height + 6
    cells = Cells((x, y), 7.0, (values,), _ABOVE, _BELOW)
    drawing.shapes += [
        Words((x - 5, y + 4), low, anchor="end"),
        cells,
        Words((x + cells.width + 5, y + 4), short(most)),
    ]
    drawing.height = y + 20


def position_drawing(found: PositionNumbers) -> Drawing:
    """Everything that a position does, a heat map or chart below the other."""
    sheet = Drawing(FIGURE_WIDTH, 34.0, f"Positions: {found.name}")
    sheet.shapes.append(Words((14, 20), cut(heading(found), FIGURE_WIDTH - 28, is_bold=True), "name"))
    for section in _sections(found):
        sheet.add_below(section, 14.0)
    if len(sheet.shapes) == 1:
        add_caption(sheet, NOTHING)
    sheet.height += 8
    return sheet


NOTHING = "It adds nothing to embeddings, turns no queries and keys, and adds nothing to scores."


def heading(found: PositionNumbers) -> str:
    """The position and the sizes that its numbers are of."""
    sizes = f"d_model {found.d_model:,}, n_heads {found.n_heads:,}, {found.length:,} positions"
    return f"position/{found.name}: {sizes}{', new weights' if found.is_learned else ''}"


def _sections(found: PositionNumbers) -> list[Drawing]:
    drawn = []
    if found.added is not None:
        of = "of random embeddings, which it is read from" if found.adds_by_input else ""
        drawn.append(
            matrix_drawing(found.added, ADDED, rows="Position", columns="Dimension of d_model", caption=of)
        )
    if found.angles is not None:
        drawn.append(
            matrix_drawing(
                np.cos(found.angles), TURNED, rows="Position", columns="Pair of features of a head"
            )
        )
    if found.factors is not None:
        drawn.append(matrix_drawing(found.factors, MULTIPLIED, rows="Position", columns="Every feature"))
    if found.vectors is not None:
        drawn.append(
            matrix_drawing(
                found.vectors,
                READ,
                rows="Query minus key",
                columns="Dimension of d_model",
                first_row=1 - found.length,
            )
        )
    if found.bias is not None:
        drawn.append(_bias_chart(found))
    return drawn


ADDED = "Added to the embeddings"
TURNED = "Queries and keys are turned: cosine of the angle"
MULTIPLIED = "Queries are multiplied"
READ = "Vectors that an attention reads, by distance"
BIASED = "Added to the scores, by distance"


def _bias_chart(found: PositionNumbers) -> Drawing:
    bias = found.bias_by_distance()
    lines = [
        Line(f"head {h}" if len(bias) > 1 else "every head", tuple(zip(found.distances, row, strict=True)))
        for h, row in enumerate(bias.tolist())
    ]
    told = "Of one random query, the same at every position. " if found.biases_by_query else ""
    told += "" if found.is_of_distance() else "The mean over queries: it depends on more than the distance."
    chart = line_chart(
        lines,
        title=BIASED,
        x=Axis("Position of the key minus that of the query"),
        y=Axis("Bias"),
        caption=told.strip(),
    )
    titled = Drawing(chart.width, 22.0, BIASED, shapes=[Words((14, 12), BIASED, "name")])
    titled.add_below(chart)
    return titled


def masks_drawing(maps: Sequence[SeenMap], title: str) -> Drawing:
    """A heat map for each: a row a query, a column a key, dark where the one may attend to the other."""
    sheet = Drawing(FIGURE_WIDTH, 34.0, f"Masks of {title}")
    sheet.shapes.append(Words((14, 20), cut(title, FIGURE_WIDTH - 28, is_bold=True), "name"))
    for each in maps:
        drawn = matrix_drawing(
            each.allowed.astype(np.float64),
            each.title,
            rows="Query",
            columns="Key",
            caption=each.told,
            largest=1.0,
            cell=max(1.0, min(12.0, _ROOM / each.allowed.shape[1] / 1.6)),
        )
        sheet.add_below(drawn, 14.0)
    sheet.height += 8
    return sheet
