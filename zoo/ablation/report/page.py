"""The report as one page that needs nothing else: no network, no library, readable in print, by day and by night."""

from __future__ import annotations

from importlib import resources

from zoo.ablation.matching import LENGTH
from zoo.ablation.report import sentences
from zoo.ablation.report.difference_chart import differences
from zoo.ablation.report.gathering import Report
from zoo.ablation.report.markup import Section, bullets, chart, name_of, text_of
from zoo.ablation.report.page_charts import costs_section, curves_section
from zoo.ablation.report.page_tables import tests_section, trainings_section, variants_section
from zoo.ablation.report.trees import tree_html
from zoo.drawing.pages import whole_page
from zoo.drawing.svg import escape

_CSS, _JS = "page.css", "page.js"


def page(report: Report) -> str:
    """The whole page."""
    title = report.heading
    sections = [
        _conclusions(report),
        variants_section(report),
        curves_section(report),
        costs_section(report),
        _changes(report),
        _texts(report),
        tests_section(report),
        trainings_section(report),
        _making(report),
    ]
    body = "".join(
        f'<section id="{name}"><h2>{heading}</h2>{content}</section>'
        for name, heading, content in sections
        if content
    )
    links = "".join(f'<a href="#{name}">{heading}</a>' for name, heading, content in sections if content)
    own = resources.files("zoo.ablation.report")
    style, script = ((own / name).read_text(encoding="utf-8") for name in (_CSS, _JS))
    head = f"<p>{escape(sentences.lead(report))}</p><nav>{links}</nav>"
    return whole_page(title, head=head, body=body, style=style, script=script)


def _conclusions(report: Report) -> Section:
    parts = [f'<p class="headline">{escape(sentences.headline(report))}</p>']
    drawn = chart(lambda width: differences(report, width=width))
    if drawn:
        caption = (
            "Hollow: a seed. Full: the mean, with its interval, which goes on where it has no end stroke."
        )
        parts.append(f"<figure>{drawn}<figcaption>{caption}</figcaption></figure>")
    for heading, texts in (
        ("What can be concluded", sentences.shown(report) or ["Nothing about any variant, by these seeds."]),
        ("What cannot", sentences.not_shown(report)),
        ("How many seeds it takes", sentences.seeds_text(report)),
        ("To keep in mind", sentences.reservations(report)),
    ):
        if texts:
            parts.append(f"<h3>{heading}</h3>{bullets(map(escape, texts), css='said')}")
    return "conclusions", "Conclusions", "".join(parts)


def _changes(report: Report) -> Section:
    parts = []
    for i, row in enumerate(report.rows):
        if row.is_base:
            continue
        notes = [f"made equal: {row.note}"] if row.note else []
        notes += [f"by tuning: {', '.join(row.tuned)}"] if row.tuned else []
        told = "".join(f"<p>{escape(note)}</p>" for note in notes)
        words = " ".join(row.overrides)
        parts.append(
            f'<div class="change"><h3>{name_of(i, row.name)}</h3>{tree_html(row.changes)}{told}'
            f"<details><summary>As overrides</summary><code>{escape(words)}</code></details></div>"
        )
    return "changes", "What differs", f'<div class="changes">{"".join(parts)}</div>'


def _texts(report: Report) -> Section:
    texts = report.texts
    if isinstance(texts, str):
        return "outputs", "Outputs", f"<p>{escape(texts)}</p>" if texts else ""
    places = {row.name: i for i, row in enumerate(report.rows)}
    parts = [
        f"<p>Of seed {texts.seed}, on {texts.n_rows:,} rows of {escape(report.split)}: the first ones, and those for "
        "which the variants' outputs differ most from the base's.</p>"
    ]
    for example in texts.examples:
        given = "".join(
            f'<tr class="given"><th scope="row">{escape(name)}</th><td>{text_of(text)}</td></tr>'
            for name, text in example.given.items()
        )
        outputs = "".join(
            f'<tr><th scope="row">{name_of(places[name], name)}</th><td>{text_of(text)}</td></tr>'
            for name, text in zip(texts.variants, example.outputs, strict=True)
        )
        why = " · differs much" if example.is_chosen else ""
        parts.append(
            f'<table class="texts"><caption>Row {example.number:,}{why}</caption>'
            f"<tbody>{given}{outputs}</tbody></table>"
        )
    return "outputs", "Outputs", "".join(parts)


def _making(report: Report) -> Section:
    environments = report.environments
    rows = "".join(
        f"<tr><th scope=row>{escape(name)}</th><td>{'<br>'.join(map(escape, values))}</td></tr>"
        for name, values in environments.facts.items()
    )
    parts = [
        "<p>In this folder; what has been trained is not trained again:</p>"
        "<pre>zoo ablate ablation.yaml --out NEW_FOLDER   # all of it anew\n"
        "zoo train specs/base/seed-N.yaml --out NEW_RUN  # one training\n"
        "zoo report .                                    # this page</pre>"
    ]
    if report.source:
        parts.append(f"<details><summary>ablation.yaml</summary><pre>{escape(report.source)}</pre></details>")
    if rows:
        parts.append(
            f"<p>{environments.n_sessions} starts and resumes, the first at {escape(environments.first)}, the last at "
            f"{escape(environments.last)}.</p>"
            f'<div class="wide"><table class="facts"><tbody>{rows}</tbody></table></div>'
        )
    parts.append(
        f"<p>Costs are counted by formula from the specs, memory and cache on one sequence of {LENGTH} tokens in fp32. "
        "Differences are paired by seed; intervals and p are Student's; p is corrected by Holm's method over all "
        "variants.</p>"
    )
    return "making", "How it was made", "".join(parts)
