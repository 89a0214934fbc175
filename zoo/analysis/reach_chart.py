"""Gradient norms against distance, as a figure."""

from __future__ import annotations

from collections.abc import Mapping

from zoo.amounts import amount
from zoo.analysis.reach import Reach
from zoo.drawing.line_chart import Axis, Line, line_chart
from zoo.drawing.shapes import FIGURE_WIDTH, Drawing, cut, text_width

N_MARKS = 10
"""Symbols along a line, about."""


def reach_chart(reaches: Mapping[str, Reach]) -> Drawing:
    """A line a model, by its title, on a logarithmic axis; rows differ by the strokes at its symbols.

    Raises: ValueError where no gradient is above 0.
    """
    lines = []
    for i, (title, found) in enumerate(reaches.items()):
        step = max(1, round(found.length / N_MARKS))
        # Symbols of neighbours stand apart, and the first distance has one of each.
        shown = [k for k in range(found.length) if k == 0 or k % step == i * step // len(reaches) % step]
        told = f": {found.factor_text} a token" if found.factor_text else ""
        lines.append(
            Line(
                cut(title, FIGURE_WIDTH - 70 - text_width(told)) + told,
                tuple(enumerate(found.median)),
                marks=tuple((k, found.median[k]) for k in shown),
                bars=tuple((k, found.low[k], found.high[k]) for k in shown),
            )
        )
    rows = max(each.rows for each in reaches.values())
    caption = (
        "What is left, as a root mean square over directions, of a gradient of length 1 at a model's last vector when "
        f"it comes to the embedded token k places away: the median of {amount(rows, 'row')} of random tokens, with the "
        "least and the most. Where a line ends, it is 0, or less than float32 holds."
    )
    if any(each.counted_from for each in reaches.values()):
        caption += (
            " Of an encoder-decoder: from the vector that its first token is written from to its source, k being "
            "counted from the end of that at which the gradient is greater."
        )
    return line_chart(
        lines,
        title="Norm of the gradient against distance",
        x=Axis("Distance k (tokens)"),
        y=Axis("Norm of the gradient ∂h(t) / ∂x(t−k)", is_log=True),
        caption=caption,
    )
