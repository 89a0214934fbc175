"""Generated sequences that ask what followed a token the last time, needing no file."""

from __future__ import annotations

from typing import Literal

import numpy as np

from zoo.data.corpora._sequences import ASK, Ids, Sequences, SequencesSpec
from zoo.kinds import CORPUS
from zoo.special_ids import NOT_ASKED


class InductionSpec(SequencesSpec):
    type: Literal["induction"] = "induction"

    @property
    def least_length(self) -> int:
        return 3


@CORPUS.register(
    "induction",
    spec=InductionSpec,
    examples=[{"lengths": [6, 9], "test_lengths": [7, 13], "n_train": 23, "n_dev": 7, "n_test": 5}],
)
class Induction(Sequences):
    """Drawn symbols with a mark at one place and at the end, where the symbol after the first mark is asked for.

    Source: Olsson et al. 2022 (induction heads); in this form, with one mark, Gu and Dao 2023 (Mamba), section 4.1.2.
    """

    def draw(self, random: np.random.Generator, length: int) -> tuple[Ids, Ids]:
        tokens, labels = random.choice(self._symbols, length), np.full(length, NOT_ASKED)
        place = int(random.integers(length - 2))
        tokens[[place, -1]], labels[-1] = ASK, tokens[place + 1]
        return tokens, labels
