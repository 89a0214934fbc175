"""Text infilling: a text with spans masked and sentences out of order in, the whole text out."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from zoo.kinds import TASK
from zoo.tasks._denoising import IDS, DenoisingSpec, DenoisingTask, placed

MARK = "<mask>"
FULL_STOPS = (".", "!", "?", "…", "。", "！", "？")


class InfillingSpec(DenoisingSpec):
    type: Literal["infilling"] = "infilling"
    rate: float = Field(0.3, gt=0, lt=1)
    """Share of a text's tokens that are hidden; at least one is."""
    permute_sentences: bool = True
    """Whether the sentences, which end at a full stop or the like, come in a random order."""


@TASK.register(
    "infilling",
    spec=InfillingSpec,
    examples=[
        {"data": {"type": "grammar_text", "n_train": 11, "n_dev": 3, "n_test": 3}, "tokenizer": "words"}
    ],
)
class Infilling(DenoisingTask):
    """Learns to write a whole text of which spans are masked and sentences are out of order.

    The lengths of spans are drawn from a Poisson distribution, until so many tokens are hidden as the rate says; one
    mask, the tokenizer's or else the last id of the model's vocabulary, stands for a span, one of no token is only a
    mask put in.
    Source: Lewis et al. 2020, section 2.2 and, for both together, section 4.1: 30 % of the tokens, all sentences.
    Differs: two spans never touch, and there are no more spans than hidden tokens, so that a source is no longer than
        the text.
    """

    def __init__(self, *, permute_sentences: bool, **inherited: Any) -> None:
        super().__init__(**inherited)
        self.permute_sentences = permute_sentences

    @property
    def mask_id(self) -> int:
        """The token that stands for a span: the tokenizer's, or else the last of the model's vocabulary."""
        return self.mask

    @property
    def marks(self) -> Mapping[str, int]:
        return self.mask_marks(MARK)

    def damaged(self, text: IDS, random: np.random.Generator) -> tuple[list[int], list[int]]:
        source = self._permuted(text, random) if self.permute_sentences else text
        lengths = self._spans(len(text), random)
        found: list[int] = []
        end = 0
        for start, length in zip(placed(lengths, len(text), random), lengths, strict=True):
            found += [*source[end:start].tolist(), self.mask_id]
            end = start + length
        return [*found, *source[end:].tolist()], text.tolist()

    def _spans(self, n: int, random: np.random.Generator) -> list[int]:
        """The lengths of the spans in a text of n tokens; the last one is cut to the share that is asked for."""
        n_hidden = max(1, round(n * self.rate))
        lengths: list[int] = []
        while (left := n_hidden - sum(lengths)) > 0:
            lengths.append(min(int(random.poisson(self.mean_span)), left))
        # Room for all of them, at least a token between two: of too many the empty ones go, then the shortest grow.
        n_most = min(n_hidden, n - n_hidden + 1)
        while len(lengths) > n_most:
            shortest = lengths.pop(lengths.index(min(lengths)))
            lengths[0] += shortest
        return lengths

    def _permuted(self, text: IDS, random: np.random.Generator) -> IDS:
        """The sentences in a random order; what follows the last full stop is one too."""
        ends = 1 + self._is_full_stop[text[:-1]].nonzero()[0]
        sentences = np.split(text, ends)
        return np.concatenate([sentences[i] for i in random.permutation(len(sentences))])

    @cached_property
    def _is_full_stop(self) -> NDArray[np.bool_]:
        """For each id whether a sentence ends with it."""
        return np.array([text.endswith(FULL_STOPS) for text in self.token_texts[0]])
