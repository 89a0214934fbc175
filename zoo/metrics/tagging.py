"""How good tags are: accuracy of words, and F1 of spans where the tags are those of spans."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from zoo.data.store import Example, text_of
from zoo.errors import DataError
from zoo.kinds import METRIC, Metric, MetricSpec, Scores

ScoreName = Literal["accuracy", "f1", "precision", "recall"]
Span = tuple[str, int, int]
"""What it is called, its first word and its last."""
_SPAN_TAG = re.compile("O|[BIES](-.*)?", re.DOTALL)


class TaggingMetricSpec(MetricSpec):
    type: Literal["tagging"] = "tagging"
    report: Annotated[tuple[ScoreName, ...], Field(min_length=1)] = ("accuracy",)
    """The scores of an evaluation, in the order they are shown in, each in percent: accuracy, of words; and of spans,
    for tags such as B-PER, I-PER and O, precision, recall and f1."""
    score: ScoreName = "accuracy"
    """The one that is measured in validations and chooses the best checkpoint."""

    def check(self) -> None:
        if len(set(self.report)) < len(self.report):
            raise ValueError(f"report names a score twice: {', '.join(self.report)}")

    @property
    def counts_spans(self) -> bool:
        """Whether a score is asked for that only tags of spans have."""
        return {*self.report, self.score} != {"accuracy"}


@METRIC.register(
    "tagging", spec=TaggingMetricSpec, examples=[{}, {"report": ["accuracy", "f1"], "score": "f1"}]
)
class TaggingMetric(Metric):
    """Compares an answer's `tags` with the example's, a line each in the text `tags`; a refusal has none right.

    Spans are those of seqeval, and of the CoNLL's own script: tags IOB, IOB2, IOE2 and IOBES, read generously; an
    answer is right where name, first and last word are; sums are over all spans, of whatever name.
    Source: Ramshaw and Marcus 1995; Tjong Kim Sang and De Meulder 2003, section 2.3.
    """

    titles: ClassVar = {"accuracy": "Accuracy", "f1": "F1", "precision": "Precision", "recall": "Recall"}

    def __init__(self, *, report: Sequence[ScoreName], score: ScoreName) -> None:
        super().__init__(report=report, score=score)
        self._counts: Counter[str] = Counter()

    @property
    def n_rows(self) -> int:
        return self._counts["rows"]

    def update(self, answers: Sequence[Any], examples: Sequence[Example]) -> None:
        for answer, example in zip(answers, examples, strict=True):
            wanted = text_of(example["tags"]).split("\n")
            found: Sequence[str] = getattr(answer, "tags", [])
            right = sum(a == b for a, b in zip(wanted, found, strict=False))
            spans, answered = set(spans_of(wanted)), set(spans_of(found))
            self._counts.update(
                rows=1,
                words=len(wanted),
                right=right,
                spans=len(spans),
                answered=len(answered),
                hits=len(spans & answered),
            )

    def state(self) -> dict[str, int]:
        return dict(self._counts)

    def merge(self, state: dict[str, int]) -> None:
        self._counts.update(state)

    def scores(self, names: Sequence[str]) -> Scores:
        """Raises: DataError where there is no word. Without any span its scores are 0, as in seqeval."""
        if not self._counts["words"]:
            raise DataError("there are no words to score")
        n = self._counts
        found = {
            "accuracy": n["right"] / n["words"],
            "precision": n["hits"] / max(1, n["answered"]),
            "recall": n["hits"] / max(1, n["spans"]),
            "f1": 2 * n["hits"] / max(1, n["answered"] + n["spans"]),
        }
        values = {name: 100 * found[name] for name in names}
        about = (
            {"n_words": n["words"], "n_spans": n["spans"]}
            if {*names} != {"accuracy"}
            else {"n_words": n["words"]}
        )
        return Scores(values, self.n_rows, {name: self.titles[name] for name in names}, about)


def is_span_tag(tag: str) -> bool:
    """Whether a tag is one of spans: O, or B, I, E or S, alone or with a name behind a hyphen."""
    return _SPAN_TAG.fullmatch(tag) is not None


def spans_of(tags: Sequence[str]) -> list[Span]:
    """The spans that tags mark. A word goes on with a span where it is I or E, the word before it B or I, and both
    are of one name; any other word that is not O begins one.
    """
    spans: list[Span] = []
    mark, name = "O", ""
    for place, tag in enumerate(tags):
        before = (mark, name)
        mark, name = tag[:1], tag[1:].removeprefix("-")
        if mark == "O":
            continue
        if mark in "IE" and before in (("B", name), ("I", name)):
            spans[-1] = (name, spans[-1][1], place)
        else:
            spans.append((name, place, place))
    return spans
