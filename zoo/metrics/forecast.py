"""How far forecasts are from what came: mean squared and mean absolute error, of standardised values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from zoo.data.store import Example
from zoo.errors import DataError
from zoo.kinds import METRIC, Metric, MetricSpec, Scores

ScoreName = Literal["mse", "mae"]


class ForecastMetricSpec(MetricSpec):
    type: Literal["forecast"] = "forecast"
    report: Annotated[tuple[ScoreName, ...], Field(min_length=1)] = ("mse", "mae")
    """The scores of an evaluation, in the order they are shown in: mse (mean squared error), mae (mean absolute
    error); of both the less, the better."""
    score: ScoreName = "mse"
    """The one that is measured in validations and chooses the best checkpoint."""

    def check(self) -> None:
        if len(set(self.report)) < len(self.report):
            raise ValueError(f"report names a score twice: {', '.join(self.report)}")


@METRIC.register("forecast", spec=ForecastMetricSpec, examples=[{}, {"report": ["mae"], "score": "mae"}])
class ForecastMetric(Metric):
    """Errors of forecasts, each value of each variable counted alike.

    Answers are forecasts [horizon, V], examples have `future` [horizon, V], both standardised by the training part, as
    in the benchmarks of Zhou et al. 2021. A refused row counts as a forecast of the training part's mean.
    """

    titles: ClassVar = {"mse": "MSE", "mae": "MAE"}
    lower_is_better: ClassVar = frozenset({"mse", "mae"})

    def __init__(self, *, report: Sequence[ScoreName], score: ScoreName) -> None:
        super().__init__(report=report, score=score)
        self._rows: list[tuple[float, float, int]] = []  # squared and absolute errors and values of each

    @property
    def n_rows(self) -> int:
        return len(self._rows)

    def update(self, answers: Sequence[Any], examples: Sequence[Example]) -> None:
        for answer, example in zip(answers, examples, strict=True):
            future = example["future"].astype(np.float64)
            error = future - answer if isinstance(answer, np.ndarray) else future
            self._rows.append((float((error**2).sum()), float(np.abs(error).sum()), error.size))

    def state(self) -> list[tuple[float, float, int]]:
        return self._rows

    def merge(self, state: Sequence[tuple[float, float, int]]) -> None:
        self._rows += [(squared, absolute, n) for squared, absolute, n in state]

    def scores(self, names: Sequence[str]) -> Scores:
        if not self._rows:
            raise DataError("there are no forecasts to score")
        squared, absolute, n = zip(*self._rows, strict=True)
        # Rounded once, so that the sums are the same in any order.
        means = {"mse": math.fsum(squared) / sum(n), "mae": math.fsum(absolute) / sum(n)}
        titles = {name: self.titles[name] for name in names}
        return Scores({name: means[name] for name in names}, len(self._rows), titles)
