"""How good constituency trees are: labelled brackets as evalb counts them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from zoo.data.brackets import Leaf, Tree, leaves, parse, spans
from zoo.data.store import Example, text_of
from zoo.errors import DataError
from zoo.kinds import METRIC, Metric, MetricSpec, Scores

ScoreName = Literal["f1", "precision", "recall", "exact", "valid"]
PUNCTUATION = frozenset({",", ":", "``", "''", "."})
"""Parts of speech whose words do not count (COLLINS.prm, DELETE_LABEL)."""


class BracketsSpec(MetricSpec):
    type: Literal["brackets"] = "brackets"
    report: Annotated[tuple[ScoreName, ...], Field(min_length=1)] = (
        "f1",
        "precision",
        "recall",
        "exact",
        "valid",
    )
    """The scores of an evaluation: f1, precision and recall of labelled brackets, exact (trees without a mistake) and
    valid (answers that are a tree over the words), all in percent."""
    score: ScoreName = "f1"
    """The one that is measured in validations and chooses the best checkpoint."""


@METRIC.register("brackets", spec=BracketsSpec, examples=[{}, {"report": ["f1"], "score": "valid"}])
class Brackets(Metric):
    """Labelled precision, recall and F1 over the brackets of all sentences together, in percent.

    The rules are evalb's with Collins' parameters (Sekine and Collins 1997, COLLINS.prm): the bracket around the whole
    and parts of speech are no brackets; functions, indices and traces are left out; punctuation has no place, nor has a
    bracket of nothing else; PRT counts as ADVP; a bracket that is there twice must be found twice.
    Differs: an answer that is no tree over the words has no brackets, and its sentence counts; evalb leaves such
        sentences out, and Vinyals et al. 2015 (section 3.2) complete their brackets first.
    Answers are objects with `tree`, brackets on a line, or None; examples have `tree`, the text of the right one.
    """

    titles: ClassVar = {
        "f1": "F1",
        "precision": "Precision",
        "recall": "Recall",
        "exact": "Exact trees",
        "valid": "Valid trees",
    }

    def __init__(self, *, report: Sequence[ScoreName], score: ScoreName) -> None:
        super().__init__(report=report, score=score)
        self._counts = dict.fromkeys(("rows", "right", "found", "wanted", "exact", "valid"), 0)

    @property
    def n_rows(self) -> int:
        return self._counts["rows"]

    def update(self, answers: Sequence[Any], examples: Sequence[Example]) -> None:
        for answer, example in zip(answers, examples, strict=True):
            gold = parse(text_of(example["tree"]))
            is_counted = [leaf.tag not in PUNCTUATION for leaf in leaves(gold)]
            wanted, found = _spans(gold, is_counted), None
            if (text := getattr(answer, "tree", None)) is not None:
                found = _spans(parse(text), is_counted)
            counts = self._counts
            counts["rows"] += 1
            counts["wanted"] += wanted.total()
            if found is not None:
                counts["valid"] += 1
                counts["found"] += found.total()
                counts["right"] += (wanted & found).total()
                counts["exact"] += wanted == found

    def state(self) -> dict[str, int]:
        return dict(self._counts)

    def merge(self, state: dict[str, int]) -> None:
        for name, count in state.items():
            self._counts[name] += count

    def scores(self, names: Sequence[str]) -> Scores:
        counts = self._counts
        if not counts["rows"]:
            raise DataError("there are no trees to score")
        values = {
            "precision": _percent(counts["right"], counts["found"]),
            "recall": _percent(counts["right"], counts["wanted"]),
            "f1": _percent(2 * counts["right"], counts["found"] + counts["wanted"]),
            "exact": _percent(counts["exact"], counts["rows"]),
            "valid": _percent(counts["valid"], counts["rows"]),
        }
        titles = {name: self.titles[name] for name in names}
        return Scores({name: values[name] for name in names}, counts["rows"], titles)


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 0.0


def _spans(trees: Sequence[Tree | Leaf], is_counted: Sequence[bool]) -> Counter[tuple[str, int, int]]:
    found = spans(trees, is_counted)
    for label, begin, end in [span for span in found if span[0] == "PRT"]:
        found["ADVP", begin, end] += found.pop((label, begin, end))
    return found
