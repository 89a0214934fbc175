"""What an ablation says on the command line: its plan before the first step, and what it has found."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from registry import Difference
from registry.problems import show
from zoo.ablation.conclusion import conclusion
from zoo.ablation.matching import LENGTH
from zoo.ablation.plan import Plan, Trial, Variant
from zoo.ablation.power import detectable
from zoo.ablation.results import Results
from zoo.ablation.spec import BASE
from zoo.ablation.statistics import Comparison, adjusted, compare, summary
from zoo.ablation.trial import Outcome
from zoo.amounts import aligned, amount
from zoo.analysis.cost import ModelCost, cost
from zoo.analysis.size import n_parameters
from zoo.training.plan import duration

_MORE_SEEDS = (3, 5, 10)
_N_SHOWN = 4  # differences of a variant that stand in its line


def plan_text(plan: Plan) -> str:
    """The variants with what they cost and how they differ, the whole budget, and what so many seeds can detect."""
    seeds = plan.spec.seeds
    n_steps = sum(plan.steps(trial) for trial in plan.trials)
    n_tokens = sum(_tokens(plan, trial) for trial in plan.trials)
    costs = {each.name: cost(each.run.model, length=LENGTH) for each in plan.variants}
    operations = sum(_tokens(plan, trial) * costs[trial.variant].training_per_token for trial in plan.trials)
    budget = f"{amount(n_steps, 'step')}, up to {n_tokens:,} tokens a side, {operations:.1e} floating-point operations"
    if plan.spec.match == "minutes":
        assert plan.base.run.training is not None
        each = 60 * (plan.base.run.training.max_minutes or 0)
        budget = f"{duration(each)} each, {duration(each * len(plan.trials))} in all"
    lines = [
        f"{amount(len(plan.variants) - 1, 'variant')} of {plan.spec.base} and the base, "
        f"{amount(len(seeds), 'seed')} each: {amount(len(plan.trials), 'training')}, {budget}"
    ]
    if plan.tuning:
        tried = sum(plan.steps(trial) for trial in plan.tuning)
        lines.append(
            f"before them {amount(len(plan.tuning), 'training')} that try {', '.join(plan.spec.tune)}: "
            f"{amount(tried, 'step')}"
        )
    heading = ("", "parameters", f"FLOPs/token ({LENGTH})", "steps", "differs in")
    rows: list[tuple[str, ...]] = [heading]
    rows += [_plan_row(plan, variant, costs[variant.name]) for variant in plan.variants]
    lines += ["", *aligned(rows, n_left=1, ends_left=True)]
    if plan.same:
        lines += ["", f"not trained again: {same_text(plan.same)}"]
    lines += ["", detection_text(len(seeds))]
    return "\n".join(lines)


def same_text(same: Sequence[tuple[str, str]]) -> str:
    """Variants that are another's twin."""
    return ", ".join(f"{name} (as {'the base' if twin == BASE else twin})" for name, twin in same)


def detection_text(n: int) -> str:
    """How large a difference n seeds find."""
    found = {each: detectable(1.0, each) for each in sorted({n, *_MORE_SEEDS})}
    if n == 1:
        return "One seed cannot tell a difference from chance: give at least 3."
    others = ", ".join(f"with {each}: {value:.2f}" for each, value in found.items() if each > n)
    return (
        f"{amount(n, 'seed')} find a difference of {found[n]:.2f} standard deviations of the paired differences in "
        f"4 of 5 experiments (paired t, 0.05, before Holm's correction){f'; {others}' if others else ''}."
    )


def trial_text(
    trial: Trial, found: Outcome | None, *, number: int, n: int, left_s: float | None = None
) -> str:
    """A line for a training that starts, or has ended; left_s are the seconds that the rest will take."""
    head = f"[{number}/{n}] {trial.name}"
    if found is None:
        return f"{head}: training"
    reason = f": {found.reason}" if found.reason else ""
    left = f"; about {duration(left_s)} left" if left_s else ""
    return f"{head}: {found.status}{reason}{left}"


def comparisons(results: Results) -> dict[str, Comparison]:
    """Each variant against the base over the seeds, corrected for their number."""
    plan, base = results.plan, results.scores(BASE)
    found = []
    for variant in plan.variants[1:]:
        own = results.scores(variant.name)
        sides = [[scores.get(seed) for seed in plan.spec.seeds] for scores in (own, base)]
        found.append(compare(*sides, is_higher_better=results.is_higher_better))
    return dict(zip((variant.name for variant in plan.variants[1:]), adjusted(found), strict=True))


def results_text(results: Results) -> str:
    """Each variant's scores and how it compares with the base, and in words what can be concluded."""
    plan, compared = results.plan, comparisons(results)
    rows = [("", results.title, "seeds", "difference", "95 % interval", "p (Holm)", "parameters")]
    sentences = []
    for variant in plan.variants:
        found = summary([results.scores(variant.name).get(seed) for seed in plan.spec.seeds])
        mean = "no score" if found.mean is None else f"{found.mean:.4g}"
        spread = "" if found.spread is None else f" ± {found.spread:.2g}"
        size = f"{n_parameters(variant.run.model):,}"
        if variant.name == BASE:
            rows.append((BASE, mean + spread, str(found.n), "", "", "", size))
            continue
        one = compared[variant.name]
        rows.append((variant.name, mean + spread, str(found.n), *_difference(one), size))
        sentences.append(conclusion(one, variant.name, BASE, results.title))
    lost = [
        f"{each.variant}, seed {each.seed}: {each.status}: {each.reason}"
        for each in results.trials
        if each.status not in ("done", None)
    ]
    waiting = sum(each.status is None for each in results.trials)
    if waiting:
        lost.append(f"{amount(waiting, 'training')} not ended yet")
    chosen = [f"{name}: tuning chose {', '.join(words)}" for name, words in results.tuned.items() if words]
    parts = [aligned(rows, n_left=1, ends_left=True), chosen, sentences, lost]
    return "\n\n".join("\n".join(part) for part in parts if part)


def differences_text(found: Sequence[Difference], *, n_shown: int = _N_SHOWN) -> str:
    """Differences on a line, the first of them."""
    texts = []
    for each in [each.of_type() for each in found][:n_shown]:
        texts.append(f"{each.path} {_shown(each.before)} → {_shown(each.after)}")
    more = f"; {len(found) - n_shown} more" if len(found) > n_shown else ""
    return "; ".join(texts) + more


def _plan_row(plan: Plan, variant: Variant, found: ModelCost) -> tuple[str, ...]:
    training = variant.run.training
    assert training is not None
    steps = f"{training.max_steps:,}"
    if plan.spec.match == "minutes":
        steps = duration(60 * (training.max_minutes or 0))
    differs = differences_text(variant.differences(plan.base))
    if variant.note:
        differs += f" ({variant.note})"
    return variant.name, f"{found.n_parameters:,}", f"{found.training_per_token:,.0f}", steps, differs


def _tokens(plan: Plan, trial: Trial) -> int:
    """Of a side, at most."""
    training = plan.variant(trial.variant).run.training
    assert training is not None
    return plan.steps(trial) * training.tokens_per_batch * training.accumulate * training.n_ranks


def _difference(one: Comparison) -> tuple[str, str, str]:
    if one.difference is None:
        return "", "", ""
    interval = "" if one.low is None or one.high is None else f"{one.low:+.3g} to {one.high:+.3g}"
    p = "" if one.p_adjusted is None or math.isnan(one.p_adjusted) else f"{one.p_adjusted:.3f}"
    return f"{one.difference:+.3g}", interval, p


def _shown(value: object) -> str:
    if isinstance(value, Mapping) and "type" in value:
        return str(value["type"])
    return "none" if value is None else value if isinstance(value, str) else show(value)
