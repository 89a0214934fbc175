"""Generated sequences to be copied after a gap, needing no file."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from zoo.data.corpora._sequences import BLANK, Ids, Sequences, SequencesSpec, asked_at_the_end
from zoo.kinds import CORPUS


class CopySpec(SequencesSpec):
    type: Literal["copy"] = "copy"
    n_symbols: int = Field(4, ge=1, le=100_000)
    """Symbols to be copied; what a length leaves beyond twice as many is the gap."""

    @property
    def least_length(self) -> int:
        return 2 * self.n_symbols


@CORPUS.register(
    "copy",
    spec=CopySpec,
    examples=[
        {"n_symbols": 3, "lengths": [6, 9], "test_lengths": [7, 13], "n_train": 23, "n_dev": 7, "n_test": 5}
    ],
)
class Copy(Sequences):
    """Symbols, a gap of blanks, then each symbol is asked for, in their order.

    All symbols are equally far from where they are asked for: length - n_symbols places.
    Source: Hochreiter and Schmidhuber 1997; as the copying memory problem Arjovsky et al. 2016. Differs: every place
    that is asked at has a mark, where theirs has one before the first of them.
    """

    def __init__(
        self,
        *,
        vocab_size: int,
        lengths: tuple[int, ...],
        test_lengths: tuple[int, ...],
        n_train: int,
        n_dev: int,
        n_test: int,
        seed: int,
        n_symbols: int,
    ) -> None:
        super().__init__(
            vocab_size=vocab_size,
            lengths=lengths,
            test_lengths=test_lengths,
            n_train=n_train,
            n_dev=n_dev,
            n_test=n_test,
            seed=seed,
        )
        self._n_symbols = n_symbols

    def draw(self, random: np.random.Generator, length: int) -> tuple[Ids, Ids]:
        symbols = random.choice(self._symbols, self._n_symbols)
        gap = np.full(length - 2 * self._n_symbols, BLANK)
        return asked_at_the_end(np.concatenate([symbols, gap]), symbols)
