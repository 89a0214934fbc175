"""Pieces of the page."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from zoo.ablation.report.gathering import Report
from zoo.drawing.legends import legend_sample
from zoo.drawing.pages import HOW_TO_SWITCH
from zoo.drawing.shapes import Drawing
from zoo.drawing.svg import escape, svg
from zoo.drawing.themes import colour_class

WIDE, NARROW = 980.0, 350.0
"""Widths of a chart's two versions, in points: the page shows the one that fits."""

Section = tuple[str, str, str]
"""Its id, its heading and its content; no content, no section."""


def name_of(place: int, name: str) -> str:
    """A variant's name behind its colour."""
    return (
        f'<span class="name"><span class="key {colour_class(place)}"></span><bdi>{escape(name)}</bdi></span>'
    )


def text_of(text: str) -> str:
    """A text of the data or of a model, which may be empty."""
    return f"<bdi>{escape(text)}</bdi>" if text else '<i class="none">nothing</i>'


def bullets(items: Iterable[str], *, css: str = "") -> str:
    """Items, which are HTML, as a list."""
    return f'<ul class="{css}">' + "".join(f"<li>{item}</li>" for item in items) + "</ul>"


def legend(report: Report) -> str:
    """A switch for each variant."""
    switches = "".join(
        f'<button type="button" data-v="{i}" aria-pressed="true" title="{HOW_TO_SWITCH}">'
        f"{svg(legend_sample(i))}<bdi>{escape(row.name)}</bdi></button>"
        for i, row in enumerate(report.rows)
    )
    return f'<div class="legend">{switches}</div>'


def chart(draw: Callable[[float], Drawing | None]) -> str:
    """A chart in both widths; empty where there is nothing to draw."""
    both = [(name, draw(width)) for name, width in (("at-wide", WIDE), ("at-narrow", NARROW))]
    return "".join(
        f'<div class="chart {name}">{svg(drawing)}</div>' for name, drawing in both if drawing is not None
    )
