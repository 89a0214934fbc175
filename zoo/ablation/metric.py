"""The score that an ablation's variants are compared by."""

from __future__ import annotations

from typing import Any

from registry import Problem, SpecError, suggest
from zoo.ablation.spec import AblationSpec
from zoo.kinds import METRIC
from zoo.run.spec import RunSpec

_ERRORS = frozenset({"loss", "perplexity", "bits_per_byte", "nll", "pseudo_perplexity"})
"""Scores that count errors whatever the task: a task without a metric of its own is measured by its loss."""


def primary_metric(ablation: AblationSpec, base: RunSpec) -> tuple[str, str, bool]:
    """The score that variants are compared by, its title, and whether more of it is better. Raises: SpecError."""
    spec: Any = getattr(base.task, "metric", None)
    if spec is None:
        name = ablation.metric or "loss"
        if name not in _ERRORS:
            guess = suggest(name, _ERRORS, listed=True)
            message = f"'{name}' is no score of this task, which is measured by its loss; {guess}"
            raise SpecError([Problem("metric", message)])
        return name, name.replace("_", " "), False
    metric: Any = METRIC.entry(spec.type).builder
    name = ablation.metric or spec.score
    if name not in spec.report:
        message = f"'{name}' is no score that task.metric reports; {suggest(name, spec.report, listed=True)}"
        raise SpecError([Problem("metric", message)])
    return name, metric.titles[name], name not in metric.lower_is_better
