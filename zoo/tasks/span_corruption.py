"""Span corruption: a text with spans replaced by sentinels in, the spans out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from registry import Spec
from zoo.data.store import ExampleStore
from zoo.kinds import TASK
from zoo.tasks._denoising import IDS, DenoisingSpec, DenoisingTask, placed


class SpanCorruptionSpec(DenoisingSpec):
    type: Literal["span_corruption"] = "span_corruption"
    n_sentinels: int = Field(100, ge=2, le=100_000)
    """Sentinels there are: the tokenizer's, or else the last ids of the model's vocabulary, the first one the very
    last. One more than there are spans is needed."""

    @property
    def n_reserved(self) -> int:
        return self.n_sentinels

    def check(self, *, model: Spec) -> None:
        super().check(model=model)
        _, n_spans = counts(self.max_length - 1, self.rate, self.mean_span)
        if n_spans >= self.n_sentinels:
            raise ValueError(
                f"a text of max_length ({self.max_length}) tokens has {n_spans} spans; n_sentinels "
                f"({self.n_sentinels}) must be above that"
            )


@TASK.register(
    "span_corruption",
    spec=SpanCorruptionSpec,
    examples=[
        {"data": {"type": "grammar_text", "n_train": 11, "n_dev": 3, "n_test": 3}, "tokenizer": "words"}
    ],
)
class SpanCorruption(DenoisingTask):
    """Learns to write the spans that are missing in a text, each behind the sentinel that stands in its place.

    "Thank you <X> me to your party <Y> week." gives "<X> for inviting <Y> last <Z>", Z the end. X, Y, Z are
    written <extra_id_0>, <extra_id_1>, <extra_id_2>.
    Source: Raffel et al. 2020, sections 3.1.4 and 3.3.4 and Figure 2; numbers and lengths of spans by their code.
    Differs: their code lets every text end in a span, and then writes no last sentinel; here spans may stand anywhere,
        and the target ends in one, as in the paper.
    """

    n_least = 2

    def __init__(self, *, n_sentinels: int, **inherited: Any) -> None:
        super().__init__(**inherited)
        self.n_reserved = n_sentinels

    @cached_property
    def sentinels(self) -> list[int]:
        """Their ids, in the order in which they stand in a text."""
        own = self._of_tokenizer
        return own or [self.vocab_size - 1 - number for number in range(self.n_reserved)]

    @cached_property
    def _of_tokenizer(self) -> list[int]:
        """Those that the tokenizer has; none where it has not all."""
        found = [self.tokenizer.id_of(_mark(number)) for number in range(self.n_reserved)]
        return [] if None in found else cast(list[int], found)

    @property
    def has_own_marks(self) -> bool:
        return bool(self._of_tokenizer)

    def with_own_marks(self, text: str) -> str | None:
        return text if self.has_own_marks else None

    @cached_property
    def marks(self) -> Mapping[str, int]:
        return {_mark(number): sentinel for number, sentinel in enumerate(self.sentinels)}

    @property
    def writable(self) -> Sequence[int]:
        return self.sentinels

    def damaged(self, text: IDS, random: np.random.Generator) -> tuple[list[int], list[int]]:
        n_hidden, n_spans = counts(len(text), self.rate, self.mean_span)
        ends = 1 + np.sort(random.permutation(n_hidden - 1)[: n_spans - 1])
        lengths = np.diff([0, *ends, n_hidden]).tolist()  # any division of the hidden tokens is as probable
        source: list[int] = []
        target: list[int] = []
        end = 0
        for start, length, sentinel in zip(
            placed(lengths, len(text), random), lengths, self.sentinels, strict=False
        ):
            source += [*text[end:start].tolist(), sentinel]
            end = start + length
            target += [sentinel, *text[start:end].tolist()]
        return [*source, *text[end:].tolist()], [*target, self.sentinels[n_spans]]

    def lengths(self, store: ExampleStore) -> NDArray[np.integer]:
        texts = np.minimum(store.columns["text"].lengths(), self.max_length - self.n_added)
        known = {n: counts(n, self.rate, self.mean_span) for n in np.unique(texts).tolist()}
        added = self.n_added
        return np.array(
            [(n - known[n][0] + known[n][1] + added, sum(known[n]) + 1 + added) for n in texts.tolist()]
        )

    def decode(self, rows: Sequence[Sequence[int]]) -> list[str]:
        return [self._decoded(row) for row in rows]

    def _decoded(self, row: Sequence[int]) -> str:
        names = {number: mark for mark, number in self.marks.items()}
        pieces: list[str] = []
        some: list[int] = []
        for number in [*row, None]:
            if number is not None and number not in names:
                some.append(number)
                continue
            if some:
                pieces.append(self.tokenizer.decode([some])[0].strip())
                some = []
            if number is not None:
                pieces.append(names[number])
        return " ".join(pieces)


def _mark(number: int) -> str:
    """How a sentinel is written: as T5's tokenizer has it."""
    return f"<extra_id_{number}>"


def counts(n: int, rate: float, mean_span: float) -> tuple[int, int]:
    """How many of a text's n tokens are hidden, and in how many spans, each at least one."""
    n_hidden = min(max(1, round(n * rate)), n - 1)
    return n_hidden, min(max(1, round(n_hidden / mean_span)), n_hidden, n - n_hidden + 1)
