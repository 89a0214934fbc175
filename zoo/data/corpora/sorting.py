"""Generated numbers that are asked for in ascending order, needing no file."""

from __future__ import annotations

from typing import Literal

import numpy as np

from zoo.data.corpora._sequences import Ids, Sequences, SequencesSpec, asked_at_the_end
from zoo.kinds import CORPUS


class SortingSpec(SequencesSpec):
    type: Literal["sorting"] = "sorting"

    @property
    def least_length(self) -> int:
        return 2

    def check(self) -> None:
        super().check()
        odd = [length for length in (*self.lengths, *self.test_lengths) if length % 2]
        if odd:
            raise ValueError(
                f"a length must be even, for half of it are numbers and half asks for them: {odd[0]}"
            )


@CORPUS.register(
    "sorting",
    spec=SortingSpec,
    examples=[{"lengths": [6, 10], "test_lengths": [8, 14], "n_train": 23, "n_dev": 7, "n_test": 5}],
)
class Sorting(Sequences):
    """Numbers, as many as half of the length, then they are asked for in ascending order; a symbol is a number.

    Source: Graves et al. 2014, section 4.5 (by drawn priorities; here the numbers are their own).
    """

    def draw(self, random: np.random.Generator, length: int) -> tuple[Ids, Ids]:
        numbers = random.choice(self._symbols, length // 2)
        return asked_at_the_end(numbers, np.sort(numbers))
