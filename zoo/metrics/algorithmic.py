"""How many of the tokens that are asked for are right, and in how many sequences all are; by length too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from zoo.data.store import Example
from zoo.errors import DataError
from zoo.kinds import METRIC, Metric, MetricSpec, Scores

ScoreName = Literal["accuracy", "exact"]


class AlgorithmicMetricSpec(MetricSpec):
    type: Literal["algorithmic"] = "algorithmic"
    report: Annotated[tuple[ScoreName, ...], Field(min_length=1)] = ("accuracy", "exact")
    """The scores of an evaluation, in the order they are shown in, each in percent: accuracy, of the tokens that are
    asked for; exact, of the sequences of which every one of them is right. Beside each stands what it is at each
    length."""
    score: ScoreName = "accuracy"
    """The one that is measured in validations and chooses the best checkpoint."""

    def check(self) -> None:
        if len(set(self.report)) < len(self.report):
            raise ValueError(f"report names a score twice: {', '.join(self.report)}")


@METRIC.register(
    "algorithmic", spec=AlgorithmicMetricSpec, examples=[{}, {"report": ["exact"], "score": "exact"}]
)
class AlgorithmicMetric(Metric):
    """Compares an answer's `tokens` [T] with the example's `labels` [T] where these are not negative.

    A refused row is wrong throughout. A row's length is T, by which results have `by_length`: `{"accuracy": {"16":
    99.5, ...}, ...}`, shortest first.
    """

    titles: ClassVar = {"accuracy": "Accuracy", "exact": "Exact"}

    def __init__(self, *, report: Sequence[ScoreName], score: ScoreName) -> None:
        super().__init__(report=report, score=score)
        self._counts: Counter[tuple[int, str]] = Counter()  # of (length, what)

    @property
    def n_rows(self) -> int:
        return sum(count for (_, what), count in self._counts.items() if what == "rows")

    def update(self, answers: Sequence[Any], examples: Sequence[Example]) -> None:
        for answer, example in zip(answers, examples, strict=True):
            labels = example["labels"].tolist()
            tokens = getattr(answer, "tokens", [None] * len(labels))
            hits = [token == label for token, label in zip(tokens, labels, strict=True) if label >= 0]
            found = {"rows": 1, "exact": all(hits), "tokens": len(hits), "right": sum(hits)}
            self._counts.update({(len(labels), what): int(count) for what, count in found.items()})

    def state(self) -> dict[tuple[int, str], int]:
        return dict(self._counts)

    def merge(self, state: Mapping[tuple[int, str], int]) -> None:
        self._counts.update(state)

    def scores(self, names: Sequence[str]) -> Scores:
        if not self.n_rows:
            raise DataError("there are no sequences to score")
        lengths = sorted({length for length, _ in self._counts})
        by_length = {name: {str(each): self._share(name, [each]) for each in lengths} for name in names}
        values = {name: self._share(name, lengths) for name in names}
        titles = {name: self.titles[name] for name in names}
        return Scores(values, self.n_rows, titles, {"by_length": by_length})

    def _share(self, name: str, lengths: Sequence[int]) -> float:
        """A score of the sequences of some lengths, in percent."""
        part, whole = {"accuracy": ("right", "tokens"), "exact": ("exact", "rows")}[name]
        n_part, n_whole = (sum(self._counts[length, what] for length in lengths) for what in (part, whole))
        return 100 * n_part / n_whole
