"""The charts of the page from which the reader chooses."""

from __future__ import annotations

from zoo.ablation.report.cost_chart import trade_off
from zoo.ablation.report.curve_chart import AGAINST, learning_curves
from zoo.ablation.report.curves import What, curves
from zoo.ablation.report.gathering import Report
from zoo.ablation.report.markup import Section, chart, legend
from zoo.drawing.pages import choice, choosable


def curves_section(report: Report) -> Section:
    """Loss and score of validations, against steps, tokens and seconds."""
    whats: list[tuple[What, str]] = [("loss", "Validation loss")]
    if report.curve_title:
        whats.append(("score", f"Validation {report.curve_title}"))
    charts = {}
    for what, title in whats:
        found = curves(report, what)
        for against in AGAINST:
            drawn = chart(
                lambda width, f=found, t=title, a=against: learning_curves(f, title=t, against=a, width=width)  # type: ignore[misc]
            )
            if drawn:
                charts[f"{what} {against}"] = drawn
    if not charts:
        return "curves", "Learning curves", ""
    known = [(what, title) for what, title in whats if any(name.startswith(what) for name in charts)]
    choices = choice("what", known) + choice("against", list(AGAINST.items()))
    caption = (
        "A line is the mean over seeds, its band reaches from the lowest to the highest; point at one to see its "
        "seeds. A training that diverged or failed is left out of its variant's mean. What lies far above all others, "
        "and the start, may lie outside."
    )
    return "curves", "Learning curves", choosable(charts, choices, caption, legend(report))


def costs_section(report: Report) -> Section:
    """The compared score against each cost."""
    charts = {}
    for cost in report.costs:
        drawn = chart(lambda width, c=cost: trade_off(report, c, width=width))  # type: ignore[misc]
        if drawn:
            charts[cost.name] = drawn
    if not charts:
        return "costs", "Quality against cost", ""
    titles = {cost.name: cost.title for cost in report.costs}
    choices = choice("cost", [(name, titles[name]) for name in charts])
    caption = (
        "A point is the mean over seeds, with its standard deviation. The broken line is the front: no other variant "
        "is at most as costly and at least as good as one on it; it goes by means, which chance moves. Variants of one "
        "cost stand side by side."
    )
    return "costs", "Quality against cost", choosable(charts, choices, caption, legend(report))
