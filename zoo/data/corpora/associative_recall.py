"""Generated pairs of keys and values, of which the values are asked for by their keys, needing no file."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from pydantic import Field

from zoo.data.corpora._sequences import BLANK, Ids, Sequences, SequencesSpec
from zoo.kinds import CORPUS
from zoo.special_ids import NOT_ASKED


class AssociativeRecallSpec(SequencesSpec):
    type: Literal["associative_recall"] = "associative_recall"
    n_pairs: int = Field(4, ge=1, le=100_000)
    """Keys with a value each; every key is asked about once."""

    @property
    def least_length(self) -> int:
        return 3 * self.n_pairs

    def check(self) -> None:
        super().check()
        if self.vocab_size < 2 * self.n_pairs:
            raise ValueError(
                f"vocab_size ({self.vocab_size}) must be {2 * self.n_pairs} or more: half of the symbols are keys, and "
                f"n_pairs ({self.n_pairs}) of them differ"
            )


@CORPUS.register(
    "associative_recall",
    spec=AssociativeRecallSpec,
    examples=[
        {"n_pairs": 2, "lengths": [6, 9], "test_lengths": [7, 13], "n_train": 23, "n_dev": 7, "n_test": 5}
    ],
)
class AssociativeRecall(Sequences):
    """Keys, each followed by its value, then the keys again among blanks: at each of these its value is asked for.

    The first half of the symbols are keys, which differ within a sequence, the others values.
    Source: Ba et al. 2016, section 4.1 (of one question, in letters and digits); of many questions, each answered where
    its key stands, Arora et al. 2023 (multi-query associative recall). Differs: questions lie evenly over what follows
    the pairs; there most are near.
    """

    def __init__(self, *, n_pairs: int, **inherited: Any) -> None:
        super().__init__(**inherited)
        self._n_pairs = n_pairs

    def draw(self, random: np.random.Generator, length: int) -> tuple[Ids, Ids]:
        N, half = self._n_pairs, len(self._symbols) // 2
        keys = random.permutation(self._symbols[:half])[:N]
        values = random.choice(self._symbols[half:], N)
        tokens, labels = np.full(length, BLANK), np.full(length, NOT_ASKED)
        tokens[0 : 2 * N : 2], tokens[1 : 2 * N : 2] = keys, values
        places = 2 * N + random.permutation(length - 2 * N)[:N]  # of the first key, the second, ...
        tokens[places], labels[places] = keys, values
        return tokens, labels
