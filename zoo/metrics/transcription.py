"""How good transcripts are: word and character error rates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from zoo.data.store import Example, text_of
from zoo.errors import DataError
from zoo.kinds import METRIC, Metric, MetricSpec, Scores

ScoreName = Literal["wer", "cer", "exact"]


class TranscriptionMetricSpec(MetricSpec):
    type: Literal["transcription"] = "transcription"
    lowercase: bool = False
    """Whether case is ignored."""
    report: Annotated[tuple[ScoreName, ...], Field(min_length=1)] = ("wer", "cer")
    """The scores of an evaluation, in the order they are shown in: wer and cer, errors in percent of the words and
    characters that were said (the less, the better), and exact, transcripts without an error."""
    score: ScoreName = "wer"
    """The one that is measured in validations and chooses the best checkpoint."""


@METRIC.register(
    "transcription",
    spec=TranscriptionMetricSpec,
    examples=[{}, {"report": ["cer"], "score": "cer", "lowercase": True}],
)
class TranscriptionMetric(Metric):
    """Words, and characters, that must be put in, left out or exchanged, summed over all rows, per word that was said.

    Words are what stands between spaces; runs of spaces are one. An error rate may be above 100.
    Answers are lists of zoo.generation.output.Output; examples have `text`.
    Source: Levenshtein 1966; Morris et al. 2004.
    """

    titles: ClassVar = {"wer": "Word error rate", "cer": "Character error rate", "exact": "Exact transcripts"}
    lower_is_better: ClassVar = frozenset({"wer", "cer"})

    def __init__(self, *, lowercase: bool, report: Sequence[ScoreName], score: ScoreName) -> None:
        super().__init__(report=report, score=score)
        self.lowercase = lowercase
        names = ("rows", "exact", "words", "word_errors", "characters", "character_errors")
        self._counts = dict.fromkeys(names, 0)

    @property
    def n_rows(self) -> int:
        return self._counts["rows"]

    def update(self, answers: Sequence[Any], examples: Sequence[Example]) -> None:
        for answer, example in zip(answers, examples, strict=True):
            found = self._words(answer[0].text if isinstance(answer, list) else "")
            wanted = self._words(text_of(example["text"]))
            texts = " ".join(found), " ".join(wanted)
            counts = self._counts
            counts["rows"] += 1
            counts["exact"] += found == wanted
            counts["words"] += len(wanted)
            counts["word_errors"] += distance(found, wanted)
            counts["characters"] += len(texts[1])
            counts["character_errors"] += distance(*texts)

    def _words(self, text: str) -> list[str]:
        return (text.lower() if self.lowercase else text).split()

    def state(self) -> dict[str, int]:
        return dict(self._counts)

    def merge(self, state: dict[str, int]) -> None:
        for name, count in state.items():
            self._counts[name] += count

    def scores(self, names: Sequence[str]) -> Scores:
        counts = self._counts
        if not counts["words"]:
            raise DataError("there are no words to score")
        values = {
            "wer": 100 * counts["word_errors"] / counts["words"],
            "cer": 100 * counts["character_errors"] / counts["characters"],
            "exact": 100 * counts["exact"] / counts["rows"],
        }
        titles = {name: self.titles[name] for name in names}
        return Scores({name: values[name] for name in names}, counts["rows"], titles)


def distance(first: Sequence[str], second: Sequence[str]) -> int:
    """The least number of items to put in, leave out or exchange that makes one sequence the other."""
    numbers = {item: number for number, item in enumerate(dict.fromkeys([*first, *second]))}
    b = np.array([numbers[item] for item in second], np.int64)
    places = np.arange(len(b) + 1)
    row = places
    for item in first:
        # Along a row, what is put in is a running minimum of what it costs to come from the left.
        best = np.concatenate([row[:1] + 1, np.minimum(row[1:] + 1, row[:-1] + (b != numbers[item]))])
        row = np.minimum.accumulate(best - places) + places
    return int(row[-1])
