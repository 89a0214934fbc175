"""The report as Markdown, for a repository or an issue."""

from __future__ import annotations

import re
from collections.abc import Sequence

from zoo.ablation.report import sentences
from zoo.ablation.report.columns import columns
from zoo.ablation.report.gathering import Report
from zoo.ablation.report.trees import value_text
from zoo.drawing.numbers import fixed, p_text
from zoo.drawing.svg import escape


def markdown(report: Report, figures: Sequence[str]) -> str:
    """The whole text; figures are named as they lie beside it."""
    parts = [
        f"# {plain(report.heading)}",
        plain(sentences.lead(report)),
        f"**{plain(sentences.headline(report))}**",
    ]
    for heading, texts in (
        ("What can be concluded", sentences.shown(report) or ["Nothing about any variant, by these seeds."]),
        ("What cannot", sentences.not_shown(report)),
        ("How many seeds it takes", sentences.seeds_text(report)),
        ("To keep in mind", sentences.reservations(report)),
        (
            "Trainings without a score",
            [
                f"{name}, seed {seed}: {status}{': ' if reason else ''}{reason}"
                for name, seed, status, reason in sentences.lost(report)
            ],
        ),
    ):
        if texts:
            parts.append(f"## {heading}\n\n" + "\n".join(f"- {plain(text)}" for text in texts))
    parts.append(f"## Variants\n\n{_variants(report)}")
    parts.append("## What differs\n\n" + "\n".join(_changes(report)))
    if report.tests:
        parts.append(f"## Tests of outputs\n\n{_tests(report)}")
    parts.append("## Figures\n\n" + "\n\n".join(f"![{name}]({name})" for name in figures))
    facts = [
        f"- {plain(name)}: {plain(', '.join(values))}" for name, values in report.environments.facts.items()
    ]
    if facts:
        parts.append("## Made on\n\n" + "\n".join(facts))
    return "\n\n".join(parts) + "\n"


def plain(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    escaped = escape(re.sub(r"\s+", " ", text)).replace("&#x27;", "'").replace("&quot;", '"')
    return re.sub(r"([\\`*_\[\]|~$])", r"\\\1", escaped)


def _variants(report: Report) -> str:
    found = columns(report)
    rows = [[row.name, *(column.text(row) for column in found)] for row in report.rows]
    return _table(["Variant", *(column.title for column in found)], rows)


def _changes(report: Report) -> list[str]:
    lines = []
    for row in report.variants:
        lines.append(f"- **{plain(row.name)}**{plain(f' ({row.note})') if row.note else ''}")
        changes = [each.of_type() for each in row.changes]
        lines += [
            f"    - {plain(each.path)}: {plain(value_text(each.before))} → {plain(value_text(each.after))}"
            for each in changes
        ]
    return lines


def _tests(report: Report) -> str:
    rows = [
        [
            each.variant, str(each.seed), each.result.metric, fixed(each.result.base, 2),
            fixed(each.result.variant, 2), fixed(each.result.difference, 2, is_signed=True),
            p_text(each.result.p_value),
        ]
        for each in report.tests
    ]  # fmt: skip
    table = _table(["Variant", "Seed", "Score", "Base", "Variant's", "Difference", "p"], rows)
    signatures = "\n".join(
        f"- {plain(each)}" for each in dict.fromkeys(t.result.signature for t in report.tests)
    )
    return f"Of two trained models each, over rows; they say nothing about other seeds.\n\n{table}\n\n{signatures}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [[plain(cell) for cell in row] for row in (heads, *rows)]
    texts = [f"| {' | '.join(line)} |" for line in lines]
    rule = f"|---|{'---:|' * (len(heads) - 1)}"
    return "\n".join([texts[0], rule, *texts[1:]])
