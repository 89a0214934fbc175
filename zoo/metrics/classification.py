"""How good classes are: accuracy, F1 and Matthews' coefficient, from a table of how often what was taken for what."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from zoo.data.store import Example
from zoo.errors import DataError
from zoo.kinds import METRIC, Metric, MetricSpec, Scores

ScoreName = Literal["accuracy", "macro_f1", "matthews"]
NONE = -1
"""What stands for the answer to a row that was refused."""


class ClassificationMetricSpec(MetricSpec):
    compares: ClassVar = "classes"

    type: Literal["classification"] = "classification"
    report: Annotated[tuple[ScoreName, ...], Field(min_length=1)] = ("accuracy", "macro_f1", "matthews")
    """The scores of an evaluation, in the order they are shown in, each in percent: accuracy; macro_f1, the mean of
    the classes' F1; matthews, the correlation of classes and answers, 0 for guessing."""
    score: ScoreName = "accuracy"
    """The one that is measured in validations and chooses the best checkpoint."""

    def check(self) -> None:
        if len(set(self.report)) < len(self.report):
            raise ValueError(f"report names a score twice: {', '.join(self.report)}")


@METRIC.register("classification", spec=ClassificationMetricSpec, examples=[{}, {"report": ["matthews"]}])
class ClassificationMetric(Metric):
    """Compares an answer's `number` with the class of the example, int [1] under `label`; a refusal is a wrong answer.

    Source: Matthews 1975, for more than two classes Gorodkin 2004. F1 of a class that neither occurs nor is answered is
    left out of the mean, as in scikit-learn.
    """

    titles: ClassVar = {"accuracy": "Accuracy", "macro_f1": "Macro F1", "matthews": "Matthews"}

    def __init__(self, *, report: Sequence[ScoreName], score: ScoreName) -> None:
        super().__init__(report=report, score=score)
        self._counts: Counter[tuple[int, int]] = Counter()  # of (class, answer)

    @property
    def n_rows(self) -> int:
        return self._counts.total()

    def update(self, answers: Sequence[Any], examples: Sequence[Example]) -> None:
        for answer, example in zip(answers, examples, strict=True):
            self._counts[int(example["label"][0]), getattr(answer, "number", NONE)] += 1

    def state(self) -> dict[tuple[int, int], int]:
        return dict(self._counts)

    def merge(self, state: dict[tuple[int, int], int]) -> None:
        self._counts.update(state)

    def scores(self, names: Sequence[str]) -> Scores:
        if not self._counts:
            raise DataError("there are no rows to score")
        classes = sorted({each for pair in self._counts for each in pair})  # NONE first
        places = {each: place for place, each in enumerate(classes)}
        table = np.zeros((len(classes), len(classes)), np.int64)
        for (label, answer), count in self._counts.items():
            table[places[label], places[answer]] = count
        found = {
            "accuracy": float(table.trace() / table.sum()),
            "macro_f1": float(_f1(table)[1 if classes[0] == NONE else 0 :].mean()),
            "matthews": matthews(table),
        }
        values = {name: 100 * found[name] for name in names}
        return Scores(values, self.n_rows, {name: self.titles[name] for name in names})


def _f1(table: np.ndarray[Any, np.dtype[np.int64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """F1 of each class [C], of each of which there is a row or an answer; table [C, C] of (class, answer)."""
    hits: np.ndarray[Any, np.dtype[np.float64]] = 2 * table.diagonal() / (table.sum(0) + table.sum(1))
    return hits


def matthews(table: np.ndarray[Any, np.dtype[np.int64]]) -> float:
    """The correlation of classes and answers, counted in a table [C, C]; 0 where either never varies."""
    n, n_right = int(table.sum()), int(table.trace())
    labels, answers = table.sum(1).tolist(), table.sum(0).tolist()  # Python's integers, which do not overflow
    both = n * n_right - sum(t * p for t, p in zip(labels, answers, strict=True))
    spreads = (n * n - sum(count * count for count in counts) for counts in (labels, answers))
    scale = math.prod(spreads)
    return both / math.sqrt(scale) if scale else 0.0
