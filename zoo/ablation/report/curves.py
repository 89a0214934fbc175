"""Learning curves of variants: at each validation the mean, the lowest and the highest of the seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from zoo.ablation.report.gathering import Report, Row
from zoo.ablation.results import Found
from zoo.amounts import amount
from zoo.drawing.numbers import short, time_text

What = Literal["loss", "score"]
N_POINTS = 160
"""Most points of a line that are drawn: no chart shows more."""


@dataclass(frozen=True)
class CurvePoint:
    """A validation, over the seeds that have it."""

    step: int
    n_tokens: float
    """Mean over the seeds, as are the seconds."""
    seconds: float
    mean: float
    low: float
    high: float
    n: int

    def x(self, against: str) -> float:
        return {"step": self.step, "tokens": self.n_tokens, "seconds": self.seconds}[against]

    def where(self, against: str) -> str:
        """The place, in words."""
        texts = {
            "step": f"step {self.step:,}",
            "tokens": f"{short(self.n_tokens)} tokens",
            "seconds": time_text(self.seconds),
        }
        return texts[against]

    @property
    def told(self) -> str:
        """The value, in words."""
        if self.n == 1:
            return f"{self.mean:.4g} (one seed)"
        return f"{self.mean:.4g} ({self.low:.4g} to {self.high:.4g}, {amount(self.n, 'seed')})"


@dataclass(frozen=True)
class Curve:
    """One variant's."""

    variant: int
    """Its place among the rows."""
    name: str
    points: tuple[CurvePoint, ...]
    """Over the seeds that came through: one that diverged or failed would bend the mean up to where it ends, and let
    it fall there. Over all seeds where none came through."""
    seeds: Mapping[int, tuple[CurvePoint, ...]]
    """Each one's, those that did not come through among them."""
    came_through: bool
    """Whether any seed did neither diverge nor fail."""


def curves(report: Report, what: What) -> list[Curve]:
    """A curve of every variant, empty of one without a finite value."""
    return [_curve(i, row, what) for i, row in enumerate(report.rows)]


def _curve(variant: int, row: Row, what: What) -> Curve:
    seeds = {each.seed: points for each in row.trials if (points := _points(each, what))}
    steps = sorted({point.step for points in seeds.values() for point in points}, reverse=True)
    kept = set(steps[:: -(-len(steps) // N_POINTS) or 1])  # the last one among them
    thinned = {seed: tuple(point for point in points if point.step in kept) for seed, points in seeds.items()}
    good = [
        each.seed for each in row.trials if each.status not in ("diverged", "failed") and each.seed in seeds
    ]
    by_step: dict[int, list[CurvePoint]] = {}
    for seed in good or seeds:
        for point in thinned[seed]:
            by_step.setdefault(point.step, []).append(point)
    together = [_together(by_step[step]) for step in sorted(by_step)]
    return Curve(variant, row.name, tuple(together), thinned, bool(good))


def _points(trial: Found, what: What) -> list[CurvePoint]:
    found = []
    for point in trial.curve:
        value = point.loss if what == "loss" else point.score
        if value is not None and math.isfinite(value):
            found.append(CurvePoint(point.step, point.n_tokens, point.seconds, value, value, value, 1))
    return found


def _together(points: Iterable[CurvePoint]) -> CurvePoint:
    found = list(points)
    return CurvePoint(
        found[0].step,
        statistics.mean(each.n_tokens for each in found),
        statistics.mean(each.seconds for each in found),
        statistics.mean(each.mean for each in found),
        min(each.mean for each in found),
        max(each.mean for each in found),
        len(found),
    )
