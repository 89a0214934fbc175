"""How near numbers are to those that were asked for: Pearson's correlation, squared and absolute error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from zoo.data.store import Example
from zoo.errors import DataError
from zoo.kinds import METRIC, Metric, MetricSpec, Scores

ScoreName = Literal["pearson", "mse", "mae"]


class RegressionMetricSpec(MetricSpec):
    compares: ClassVar = "numbers"

    type: Literal["regression"] = "regression"
    report: Annotated[tuple[ScoreName, ...], Field(min_length=1)] = ("pearson", "mse", "mae")
    """The scores of an evaluation, in the order they are shown in: pearson, the correlation in percent; mse and mae,
    the mean squared and absolute error, in the numbers' own unit."""
    score: ScoreName = "pearson"
    """The one that is measured in validations and chooses the best checkpoint."""

    def check(self) -> None:
        if len(set(self.report)) < len(self.report):
            raise ValueError(f"report names a score twice: {', '.join(self.report)}")


@METRIC.register("regression", spec=RegressionMetricSpec, examples=[{}, {"score": "mae"}])
class RegressionMetric(Metric):
    """Compares an answer's `value` with the example's, float [1] under `label`.

    A row that was refused has no number to compare: it counts for no score, and `n_refused` says how many there are.
    A correlation with what never varies is 0.
    """

    titles: ClassVar = {"pearson": "Pearson", "mse": "MSE", "mae": "MAE"}
    lower_is_better: ClassVar = frozenset({"mse", "mae"})

    def __init__(self, *, report: Sequence[ScoreName], score: ScoreName) -> None:
        super().__init__(report=report, score=score)
        self._rows: list[tuple[float, float]] = []  # answer and value
        self._n_refused = 0

    @property
    def n_rows(self) -> int:
        return len(self._rows) + self._n_refused

    def update(self, answers: Sequence[Any], examples: Sequence[Example]) -> None:
        for answer, example in zip(answers, examples, strict=True):
            if (value := getattr(answer, "value", None)) is None:
                self._n_refused += 1
            else:
                self._rows.append((value, float(example["label"][0])))

    def state(self) -> tuple[list[tuple[float, float]], int]:
        return self._rows, self._n_refused

    def merge(self, state: tuple[list[tuple[float, float]], int]) -> None:
        self._rows += state[0]
        self._n_refused += state[1]

    def scores(self, names: Sequence[str]) -> Scores:
        if not self._rows:
            raise DataError("there are no numbers to score")
        # In one order, whoever counted them: a sum of fractions depends on it in its last bits.
        answers, values = np.array(sorted(self._rows), np.float64).T
        errors = answers - values
        found = {
            "pearson": 100 * pearson(answers, values),
            "mse": float((errors**2).mean()),
            "mae": float(abs(errors).mean()),
        }
        about = {"n_refused": self._n_refused} if self._n_refused else {}
        titles = {name: self.titles[name] for name in names}
        return Scores({name: found[name] for name in names}, self.n_rows, titles, about)


def pearson(x: np.ndarray[Any, np.dtype[np.float64]], y: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    """Σ (x - x̄)(y - ȳ) / √(Σ (x - x̄)² Σ (y - ȳ)²) of two arrays [N]; 0 where either never varies."""
    if x.min() == x.max() or y.min() == y.max():
        return 0.0
    x, y = x - x.mean(), y - y.mean()
    return float((x / np.linalg.norm(x)) @ (y / np.linalg.norm(y)))
