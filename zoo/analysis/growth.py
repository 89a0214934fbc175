"""How models grow with the length of a sequence, as figures: operations by formula, and measured times beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from registry import Spec
from zoo.analysis.bench import Measured, doubt, power_law
from zoo.analysis.cost import cost
from zoo.drawing.line_chart import Axis, Line, line_chart
from zoo.drawing.shapes import FIGURE_WIDTH, Drawing, Point, cut, text_width

N_STEPS = 48
"""Into which a formula's curve is cut."""
_NAME_WIDTH = FIGURE_WIDTH - 70  # of a line of a legend


def operations_chart(models: Mapping[str, Spec], lengths: Sequence[int]) -> Drawing:
    """The operations of a forward pass over one sequence, by the formulas of zoo.cost, on logarithmic axes.

    Raises: ValueError where no model has any.
    """
    lines = []
    for title, model in models.items():
        marks, points = (
            tuple((n, cost(model, length=n).forward) for n in some) for some in (lengths, _between(lengths))
        )
        lines.append(Line(_named(title, _grown(marks)), points, marks=marks))
    law = "that fits them best at the" if len(set(lengths)) > 2 else "through the two"
    return line_chart(
        lines,
        title="Operations against the length of a sequence",
        x=_lengths_axis(lengths),
        y=Axis("Operations of a forward pass (FLOPs)", is_log=True),
        caption="By formula (zoo cost), of one sequence: products, a multiplication with its addition being two. "
        f"n^p is the power law {law} lengths with a symbol.",
    )


def time_chart(
    models: Mapping[str, Spec], measured: Sequence[Measured], *, what: str, how: str, n_turns: int
) -> Drawing:
    """What `bench` has measured of models at several lengths, beside the formulas of zoo.cost, on logarithmic axes.

    A line is the power law of the medians. Beside it stand the operations of a training step, scaled to the time of the
    longest sequences, where all else that a step takes weighs least. what has been timed, and how, are words for the
    reader, who is also told what speaks against the power laws.
    """
    lines = []
    for title, model in models.items():
        own = sorted((each for each in measured if each.title == title), key=lambda each: each.length)
        lengths = [each.length for each in own]
        marks = tuple((each.length, 1e3 * each.seconds(each.training.median)) for each in own)
        bars = tuple(
            (each.length, 1e3 * each.seconds(each.training.high), 1e3 * each.seconds(each.training.low))
            for each in own
        )
        by_formula = tuple((n, cost(model, length=n).training) for n in _between(lengths))
        at_lengths = tuple((n, cost(model, length=n).training) for n in lengths)
        law, last = power_law(marks), by_formula[-1][1]
        told = law and f"{_grown(marks)} measured, {_grown(at_lengths)} by formula"
        lines.append(
            Line(
                _named(title, told or ""),
                () if law is None else tuple((n, law[1] * n ** law[0]) for n in (lengths[0], lengths[-1])),
                marks=marks,
                bars=bars,
                beside=tuple((n, marks[-1][1] * each / last) for n, each in by_formula) if last else (),
            )
        )
    found = sorted({each.length for each in measured})
    but = doubt(n_lengths=len(found), n_turns=n_turns)
    return line_chart(
        lines,
        title=f"Time of {what} against the length of a sequence, beside the operations",
        x=_lengths_axis(found),
        y=Axis(f"Time of {what} (ms)", is_log=True),
        caption=f"Symbols: medians, with the least and the most; {how}. Thick lines: the power laws that fit them "
        f"best{f' ({but})' if but else ''}. Thin lines: operations by formula (zoo cost), scaled to the time measured "
        f"at n = {found[-1]:,}.",
    )


def _lengths_axis(lengths: Sequence[int]) -> Axis:
    return Axis("Length n of a sequence (tokens)", is_log=True, ticks=tuple(lengths))


def _between(lengths: Sequence[int]) -> list[int]:
    """Lengths from the least to the greatest, in equal ratios as far as they are whole."""
    low, high = min(lengths), max(lengths)
    return sorted({round(low * (high / low) ** (i / N_STEPS)) for i in range(N_STEPS + 1)})


def _grown(points: Sequence[Point]) -> str:
    """How the second number grows with the first, as n^1.53; "" where nothing can be said."""
    law = power_law(points) if all(y > 0 for _, y in points) else None
    return "" if law is None else f"n^{law[0]:.2f}"


def _named(title: str, told: str) -> str:
    """A title that leaves room in a legend for what is told of it."""
    told = f": {told}" if told else ""
    return cut(title, _NAME_WIDTH - text_width(told)) + told
