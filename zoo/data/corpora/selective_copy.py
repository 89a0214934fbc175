"""Generated sequences of which the symbols among blanks are to be copied, needing no file."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from zoo.data.corpora._sequences import BLANK, Ids, Sequences, SequencesSpec, asked_at_the_end
from zoo.kinds import CORPUS


class SelectiveCopySpec(SequencesSpec):
    type: Literal["selective_copy"] = "selective_copy"
    n_symbols: int = Field(4, ge=1, le=100_000)
    """Symbols to be copied; the other places before those that ask are blank."""

    @property
    def least_length(self) -> int:
        return 2 * self.n_symbols


@CORPUS.register(
    "selective_copy",
    spec=SelectiveCopySpec,
    examples=[
        {"n_symbols": 3, "lengths": [6, 9], "test_lengths": [7, 13], "n_train": 23, "n_dev": 7, "n_test": 5}
    ],
)
class SelectiveCopy(Sequences):
    """Symbols at drawn places among blanks, then each symbol is asked for, in their order.

    How far a symbol is from where it is asked for differs from one to the next, so that a fixed delay is no answer.
    Source: Gu and Dao 2023 (Mamba), section 3.1 and figure 2; Jing et al. 2019 (the denoise task).
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
        question = np.full(length - self._n_symbols, BLANK)
        question[np.sort(random.permutation(len(question))[: self._n_symbols])] = symbols
        return asked_at_the_end(question, symbols)
