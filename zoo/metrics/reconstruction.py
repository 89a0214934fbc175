"""How many damaged texts are mended without a fault."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from zoo.data.store import Example
from zoo.errors import DataError
from zoo.kinds import METRIC, Metric, MetricSpec, Scores

ScoreName = Literal["exact"]


class ReconstructionMetricSpec(MetricSpec):
    type: Literal["reconstruction"] = "reconstruction"
    report: tuple[ScoreName, ...] = ("exact",)
    """The scores of an evaluation: exact, the rows of which every token is right, in percent."""
    score: ScoreName = "exact"
    """The one that is measured in validations and chooses the best checkpoint."""


@METRIC.register("reconstruction", spec=ReconstructionMetricSpec, examples=[{}])
class ReconstructionMetric(Metric):
    """Compares the best output that a search has found with the example's `target`, ids with their end.

    A refused row is a wrong answer; one that came without a target counts nothing.
    """

    titles: ClassVar = {"exact": "Exact"}

    def __init__(self, *, report: Sequence[ScoreName], score: ScoreName) -> None:
        super().__init__(report=report, score=score)
        self._n_rows = 0
        self._n_exact = 0

    @property
    def n_rows(self) -> int:
        return self._n_rows

    def update(self, answers: Sequence[Any], examples: Sequence[Example]) -> None:
        for answer, example in zip(answers, examples, strict=True):
            if not isinstance(answer, list):
                self._n_rows += 1
            elif "target" in example:
                self._n_rows += 1
                self._n_exact += answer[0].tokens == example["target"][:-1].tolist()

    def state(self) -> tuple[int, int]:
        return self._n_rows, self._n_exact

    def merge(self, state: tuple[int, int]) -> None:
        self._n_rows += state[0]
        self._n_exact += state[1]

    def scores(self, names: Sequence[str]) -> Scores:
        if not self._n_rows:
            raise DataError("there are no texts to score")
        values = dict.fromkeys(names, 100 * self._n_exact / self._n_rows)
        return Scores(values, self._n_rows, {name: self.titles[name] for name in names})
