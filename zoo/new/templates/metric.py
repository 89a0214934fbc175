"""A metric: how many answers are exactly what was asked for.

Next:
    pytest test_my_part.py
    zoo describe metric/my_part --plugin my_part.py
    zoo train quickstart --scale tiny --plugin my_part.py task.metric=my_part
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from zoo.data.store import text_of
from zoo.errors import DataError
from zoo.kinds import METRIC, Metric, MetricSpec, Scores

ScoreName = Literal["exact", "first_word"]


class MyPartSpec(MetricSpec):
    type: Literal["my_part"] = "my_part"
    report: tuple[ScoreName, ...] = ("exact", "first_word")
    """The scores of an evaluation, in percent."""
    score: ScoreName = "exact"
    """The one that is measured in validations and chooses the best checkpoint."""


@METRIC.register(
    "my_part",
    spec=MyPartSpec,
    examples=[{}, {"report": ["first_word"]}],
)
class MyPart(Metric):
    """Compares the best text of an answer with the reference, or the first of several."""

    titles: ClassVar = {"exact": "Exact", "first_word": "First word"}
    # Optional: `lower_is_better = frozenset({"error"})`, the names of scores that are errors.

    # Sums only: the same numbers come out however rows are shared among devices.
    def __init__(self, *, report: Sequence[ScoreName], score: ScoreName) -> None:
        super().__init__(report=report, score=score)
        self._counts = {"rows": 0, "exact": 0, "first_word": 0}

    @property
    def n_rows(self) -> int:
        return self._counts["rows"]

    def update(
        self, answers: Sequence[Any], examples: Sequence[Mapping[str, Any]]
    ) -> None:
        for answer, example in zip(answers, examples, strict=True):
            # An answer is a list of outputs, best first, or a refusal.
            text = answer[0].text if isinstance(answer, list) else ""
            wanted = text_of(example["references"]).split("\n")[0]
            self._counts["rows"] += 1
            self._counts["exact"] += text == wanted
            self._counts["first_word"] += text.split()[:1] == wanted.split()[:1]

    def state(self) -> dict[str, int]:
        return dict(self._counts)

    def merge(self, state: Mapping[str, int]) -> None:
        for name, count in state.items():
            self._counts[name] += count

    def scores(self, names: Sequence[str]) -> Scores:
        if not self.n_rows:
            raise DataError("there are no rows to score")
        values = {name: 100 * self._counts[name] / self.n_rows for name in names}
        return Scores(values, self.n_rows, {name: self.titles[name] for name in names})
