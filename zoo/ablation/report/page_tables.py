"""The tables of the page, which a click on a head sorts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from zoo.ablation.report import sentences
from zoo.ablation.report.columns import columns
from zoo.ablation.report.gathering import Report
from zoo.ablation.report.markup import Section, bullets, name_of
from zoo.ablation.report.texts import outcomes
from zoo.ablation.telling import same_text
from zoo.drawing.numbers import MISSING, fixed, p_text, time_text, with_spread
from zoo.drawing.svg import escape


@dataclass(frozen=True)
class _Head:
    title: str
    meaning: str = ""
    is_text: bool = False
    """Whether the column is sorted as text, from A to Z first."""


@dataclass(frozen=True)
class _Cell:
    text: str
    key: float | str | None
    """What it is sorted by; None where there is nothing, which stays below."""
    css: str = ""


@dataclass(frozen=True)
class _Line:
    variant: str
    cells: Sequence[_Cell]
    css: str = ""


def variants_section(report: Report) -> Section:
    """The variants with their results and costs, and all scores."""
    found = columns(report)
    lines = [
        _Line(
            row.name,
            [
                _Cell(text := column.text(row), column.value(row), text if column.title == "Verdict" else "")
                for column in found
            ],
            "base" if row.is_base else "",
        )
        for row in report.rows
    ]
    parts = [_table(report, [_Head(column.title, column.meaning) for column in found], lines)]
    if report.same:
        parts.append(f"<p>Not trained again: {escape(same_text(report.same))}.</p>")
    meanings = bullets(f"<b>{escape(each.title)}</b>: {escape(each.meaning)}" for each in found)
    parts.append(f"<details><summary>What the columns mean</summary>{meanings}</details>")
    names = [name for name in report.titles if any(name in row.scores for row in report.rows)]
    if len(names) > 1:
        table = _table(report, [_Head(report.titles[name]) for name in names], _all_scores(report, names))
        parts.append(f"<details><summary>All scores</summary>{table}</details>")
    return "variants", "Variants", "".join(parts)


def _all_scores(report: Report, names: Sequence[str]) -> list[_Line]:
    lines = []
    for row in report.rows:
        found = [row.scores[name] for name in names]
        cells = [
            _Cell(with_spread(each.mean, each.spread, report.decimals(name)), each.mean)
            for each, name in zip(found, names, strict=True)
        ]
        lines.append(_Line(row.name, cells))
    return lines


def tests_section(report: Report) -> Section:
    """sacrebleu's tests of outputs: what they find by variant, and each of them."""
    if not report.tests:
        return "tests", "Tests of outputs", ""
    first = report.tests[0].result
    metrics = dict.fromkeys(each.result.metric for each in report.tests)
    summed = [
        _Line(name, [_Cell(told.get(metric, MISSING), told.get(metric, ""), "text") for metric in metrics])
        for name, told in outcomes(report.tests).items()
    ]
    lines = []
    for each in report.tests:
        r = each.result
        cells = [
            _Cell(str(each.seed), each.seed),
            _Cell(r.metric, r.metric, "text"),
            _Cell(fixed(r.base, 2), r.base),
            _Cell(fixed(r.variant, 2), r.variant),
            _Cell(fixed(r.difference, 2, is_signed=True), r.difference),
            _Cell(p_text(r.p_value), r.p_value),
        ]
        lines.append(_Line(each.variant, cells))
    heads = [
        _Head("Seed"),
        _Head("Score", is_text=True),
        *map(_Head, ("Base", "Variant's", "Difference", "p")),
    ]
    signatures = dict.fromkeys(each.result.signature for each in report.tests)
    body = (
        f"<p>Approximate randomisation by sacrebleu, {first.n_samples:,} shuffles, over {first.n_rows:,} rows: do two "
        "trained models differ by more than the choice of rows explains, at 0.05 each? Two seeds of one spec often do, "
        "so none of this says that an architecture is better; nor is p corrected for the number of tests.</p>"
        f"{_table(report, [_Head(metric, is_text=True) for metric in metrics], summed)}"
        f"<details><summary>Every test</summary>{_table(report, heads, lines)}"
        f"{bullets(f'<code>{escape(each)}</code>' for each in signatures)}</details>"
    )
    return "tests", "Tests of outputs", body


def trainings_section(report: Report) -> Section:
    """Which trainings gave no score and why, and all of them."""
    lost = sentences.lost(report)
    found = "<p>Every training has a score.</p>"
    if lost:
        found = "<h3>Without a score</h3>" + bullets(
            f"<b><bdi>{escape(name)}</bdi>, seed {seed}</b>: {escape(status)}{': ' if reason else ''}{escape(reason)}"
            for name, seed, status, reason in lost
        )
    decimals = report.decimals()
    lines = []
    for each in report.trials:
        score, status = each.scores.get(report.metric), each.status or "not ended"
        cells = [
            _Cell(str(each.seed), each.seed),
            _Cell(status, status, f"text {status.split()[0]}"),
            _Cell(fixed(score, decimals), score),
            _Cell(f"{each.steps:,}", each.steps),
            _Cell(f"{each.n_tokens:,}", each.n_tokens),
            _Cell(time_text(each.seconds or None), each.seconds or None),
            _Cell(each.run, each.run, "text"),
        ]
        lines.append(_Line(each.variant, cells))
    heads = [
        _Head("Seed"),
        _Head("Status", is_text=True),
        *map(_Head, (report.title, "Steps", "Tokens", "Time")),
    ]
    table = _table(report, [*heads, _Head("Folder", is_text=True)], lines)
    return "trainings", "Trainings", f"{found}<details><summary>All trainings</summary>{table}</details>"


def _table(report: Report, heads: Sequence[_Head], lines: Iterable[_Line]) -> str:
    places = {row.name: i for i, row in enumerate(report.rows)}
    head = "".join(map(_head, [_Head("Variant", is_text=True), *heads]))
    body = "".join(
        f'<tr class="{line.css}"><th scope="row" data-s="{escape(line.variant)}">'
        f"{name_of(places[line.variant], line.variant)}</th>{''.join(map(_cell, line.cells))}</tr>"
        for line in lines
    )
    return (
        f'<div class="wide" tabindex="0"><table class="sortable"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _head(head: _Head) -> str:
    kind = ' class="text"' if head.is_text else ""
    told = f' title="{escape(head.meaning)}"' if head.meaning else ""
    return f'<th scope="col" aria-sort="none"{kind}><button type="button"{told}>{escape(head.title)}</button></th>'


def _cell(cell: _Cell) -> str:
    key = "" if cell.key is None else escape(cell.key if isinstance(cell.key, str) else repr(float(cell.key)))
    css = f' class="{escape(cell.css)}"' if cell.css else ""
    return f'<td data-s="{key}"{css}>{escape(cell.text)}</td>'
