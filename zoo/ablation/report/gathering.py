"""What a report says, as plain data: every number of it is here before it is written in any form."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from registry import Difference
from zoo.ablation.conclusion import conclusion
from zoo.ablation.matching import LENGTH
from zoo.ablation.plan import Plan, Variant
from zoo.ablation.power import detectable
from zoo.ablation.report.environment import Environments, environments
from zoo.ablation.report.texts import SeedTest, Texts, scored_split
from zoo.ablation.results import Found, Results
from zoo.ablation.running import chosen
from zoo.ablation.spec import BASE, Match
from zoo.ablation.statistics import Comparison, Summary, pareto, summary
from zoo.ablation.telling import comparisons
from zoo.analysis.cost import ModelCost, cost
from zoo.drawing.numbers import decimals_for
from zoo.errors import RunError
from zoo.kinds import METRIC
from zoo.storage.metrics import METRICS_FILE
from zoo.storage.metrics import read as read_metrics

SEEDS_SHOWN = (3, 5, 10, 20)
"""For which the smallest difference that they find is told."""


@dataclass(frozen=True)
class Row:
    """A variant, what it is and what it gave."""

    name: str
    overrides: tuple[str, ...]
    """Of the base, those that matched it included."""
    note: str
    """How it was made equal to the base."""
    tuned: tuple[str, ...]
    """What tuning chose."""
    changes: tuple[Difference, ...]
    """What its spec has other than the base's."""
    cost: ModelCost
    """On one sequence of LENGTH tokens."""
    summary: Summary
    """Of the compared score over the seeds."""
    comparison: Comparison | None
    """None of the base."""
    conclusion: str
    """In words; empty of the base."""
    scores: Mapping[str, Summary]
    """Of every score, by name."""
    seconds: float | None
    """Of a training, mean over the seeds that are done."""
    tokens_per_second: float | None
    """While it trains: the median of what each training recorded, then the mean over seeds."""
    trials: tuple[Found, ...]

    @property
    def is_base(self) -> bool:
        return self.comparison is None

    @property
    def has_diverged(self) -> bool:
        """Whether it did with every seed."""
        return all(each.status == "diverged" for each in self.trials)


@dataclass(frozen=True)
class Cost:
    """What quality can be drawn against."""

    name: str
    title: str
    unit: str
    values: tuple[float | None, ...]
    """Of each row."""
    is_on_front: tuple[bool, ...]
    """Of each row: whether no other is at most as costly and at least as good."""


@dataclass(frozen=True)
class Report:
    """An ablation as it is reported."""

    name: str
    """Of the base's document."""
    metric: str
    title: str
    is_higher_better: bool
    split: str
    seeds: tuple[int, ...]
    match: Match
    by: str | None
    rows: tuple[Row, ...]
    """The base first."""
    same: tuple[tuple[str, str], ...]
    """Variants that turned out to be another, by both names."""
    titles: Mapping[str, str]
    """Of every score, by name."""
    curve_title: str | None
    """Of the score that is measured in validations; None where the loss is all."""
    spread: float | None
    """The standard deviation of the paired differences: the median over the variants that have one above 0."""
    costs: tuple[Cost, ...]
    environments: Environments
    folder: str = ""
    """The name of the ablation's folder, which people give it."""
    source: str = ""
    """The ablation's file."""
    texts: Texts | str = ""
    """Outputs side by side, or why there are none."""
    tests: tuple[SeedTest, ...] = field(default=())

    @property
    def heading(self) -> str:
        return f"Ablation of {self.name}" + (f": {self.folder}" if self.folder else "")

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(row.name for row in self.rows)

    @property
    def base(self) -> Row:
        return self.rows[0]

    @property
    def variants(self) -> tuple[Row, ...]:
        return self.rows[1:]

    @property
    def trials(self) -> list[Found]:
        return [each for row in self.rows for each in row.trials]

    def decimals(self, name: str = "") -> int:
        """Digits behind the point of a score, by default of the compared one."""
        found = [row.scores[name or self.metric] for row in self.rows if (name or self.metric) in row.scores]
        return decimals_for([each.spread for each in found], [each.mean for each in found])

    @property
    def difference_decimals(self) -> int:
        """The same of differences, which spread less where seeds are pairs; two digits more at most."""
        found = [row.comparison for row in self.rows if row.comparison]
        own = decimals_for([each.spread for each in found], [each.difference for each in found])
        return min(max(own, self.decimals()), self.decimals() + 2)

    def detectable(self) -> list[tuple[int, float]]:
        """Numbers of seeds, and the smallest difference in the metric's unit that so many find in 4 of 5 experiments
        with the spread seen here, before any correction; nothing where no spread is known."""
        if self.spread is None:
            return []
        numbers = sorted({*SEEDS_SHOWN, len(self.seeds)} - {1})
        return [(n, detectable(self.spread, n)) for n in numbers]


def gather(
    plan: Plan,
    results: Results,
    folder: Path,
    *,
    source: str = "",
    texts: Texts | str = "",
    tests: Sequence[SeedTest] = (),
) -> Report:
    """Everything that is known of an ablation, of its trainings so far. Raises: RunError for damaged records."""
    compared = comparisons(results)
    rows = tuple(
        _row(plan, results, variant, compared.get(variant.name), folder) for variant in plan.variants
    )
    titles, curve_title = _titles(plan, results)
    spreads = [each.spread for each in compared.values() if each.spread]
    return Report(
        name=Path(plan.source).stem,
        folder=folder.resolve().name,
        metric=results.metric,
        title=results.title,
        is_higher_better=results.is_higher_better,
        split=scored_split(plan),
        seeds=plan.spec.seeds,
        match=plan.spec.match,
        by=plan.spec.by,
        rows=rows,
        same=plan.same,
        titles=titles,
        curve_title=curve_title,
        spread=statistics.median(spreads) if spreads else None,
        costs=_costs(rows, is_higher_better=results.is_higher_better),
        environments=environments(folder, [each.run for each in results.trials]),
        source=source,
        texts=texts,
        tests=tuple(tests),
    )


def _row(plan: Plan, results: Results, variant: Variant, compared: Comparison | None, folder: Path) -> Row:
    trials = tuple(results.of(variant.name))
    names = dict.fromkeys(name for each in results.trials for name in each.scores)
    done = [each for each in trials if each.status == "done"]
    try:
        tuned = chosen(plan, folder, variant.name)
    except RunError:  # it could not be tuned, or has not been yet, which its trials say
        tuned = ()
    return Row(
        name=variant.name,
        overrides=variant.overrides,
        note=variant.note,
        tuned=tuned,
        changes=tuple(variant.differences(plan.base)),
        cost=cost(variant.run.model, length=LENGTH),
        summary=_summary(plan, trials, results.metric),
        comparison=compared,
        conclusion="" if compared is None else conclusion(compared, variant.name, BASE, results.title),
        scores={name: _summary(plan, trials, name) for name in names},
        seconds=statistics.mean(each.seconds for each in done) if done else None,
        tokens_per_second=_tokens_per_second(folder, done),
        trials=trials,
    )


def _summary(plan: Plan, trials: Sequence[Found], name: str) -> Summary:
    scores = {each.seed: each.scores.get(name) for each in trials}
    return summary([scores.get(seed) for seed in plan.spec.seeds])


def _tokens_per_second(folder: Path, trials: Sequence[Found]) -> float | None:
    found = []
    for each in trials:
        place = folder / each.run
        records = read_metrics(place) if (place / METRICS_FILE).exists() else []
        speeds = [record.get("tokens_per_second") for record in records if record["kind"] == "train"]
        known = [float(speed) for speed in speeds if isinstance(speed, int | float)]
        found += [statistics.median(known)] if known else []
    return statistics.mean(found) if found else None


def _titles(plan: Plan, results: Results) -> tuple[dict[str, str], str | None]:
    """The titles of scores, and that of the one that validations measure."""
    spec: Any = getattr(plan.base.run.task, "metric", None)
    names = dict.fromkeys([results.metric, *(name for each in results.trials for name in each.scores)])
    if spec is None:
        return {name: name.replace("_", " ") for name in names}, None
    builder: Any = METRIC.entry(spec.type).builder
    return {name: builder.titles.get(name, name) for name in names}, builder.titles[spec.score]


def _costs(rows: Sequence[Row], *, is_higher_better: bool) -> tuple[Cost, ...]:
    found: list[tuple[str, str, str, list[float | None]]] = [
        ("parameters", "Parameters", "", [row.cost.n_parameters for row in rows]),
        ("flops", "Training FLOPs a token", "", [row.cost.training_per_token for row in rows]),
        ("memory", "Activation memory", "B", [row.cost.activation_bytes for row in rows]),
        ("cache", "Cache of a sequence", "B", [row.cost.cache_bytes for row in rows]),
        ("seconds", "Training time", "s", [row.seconds for row in rows]),
    ]
    means = [row.summary.mean for row in rows]
    qualities = [float("nan") if mean is None else mean for mean in means]
    return tuple(
        Cost(
            name, title, unit, tuple(values),
            tuple(pareto(
                [float("nan") if value is None else value for value in values],
                qualities, is_higher_better=is_higher_better,
            )),
        )
        for name, title, unit, values in found
    )  # fmt: skip
