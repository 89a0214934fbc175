"""Pieces of the page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from zoo.ablation.report.gathering import Report
from zoo.drawing.legends import legend_sample
from zoo.drawing.shapes import Drawing, colour_class
from zoo.drawing.svg import escape, svg

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


def choice(name: str, options: Sequence[tuple[str, str]]) -> str:
    """Buttons of which one is pressed, the first; hidden where there is nothing to choose."""
    buttons = "".join(
        f'<button type="button" data-pick="{value}" aria-pressed="{str(i == 0).lower()}">{escape(title)}</button>'
        for i, (value, title) in enumerate(options)
    )
    hidden = " hidden" if len(options) == 1 else ""
    return f'<span class="choice" data-choice="{name}"{hidden}>{buttons}</span>'


def legend(report: Report) -> str:
    """A switch for each variant."""
    how = "Click: show or hide. Double click: this one alone."
    switches = "".join(
        f'<button type="button" data-v="{i}" aria-pressed="true" title="{how}">'
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


def choosable(charts: dict[str, str], choices: str, caption: str, legend: str) -> str:
    """Charts of which one is shown, that of the buttons pressed; by name, in the words of the choices."""
    first = next(iter(charts))
    figures = "".join(
        f'<figure data-is="{name}"{"" if name == first else " hidden"}>{chart}</figure>'
        for name, chart in charts.items()
    )
    return (
        f'<div class="choosable"><div class="choices">{choices}</div>{legend}{figures}'
        f'<p class="caption">{caption}</p></div>'
    )
