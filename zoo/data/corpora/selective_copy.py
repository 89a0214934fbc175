"""Generated sequences of which the symbols among blanks are to be copied, needing no file."""

from __future__ import annotations

from typing import Literal

import numpy as np

from zoo.data.corpora._sequences import BLANK, Copied, CopiedSpec, Ids, asked_at_the_end
from zoo.kinds import CORPUS


class SelectiveCopySpec(CopiedSpec):
    type: Literal["selective_copy"] = "selective_copy"


@CORPUS.register(
    "selective_copy",
    spec=SelectiveCopySpec,
    examples=[
        {"n_symbols": 3, "lengths": [6, 9], "test_lengths": [7, 13], "n_train": 23, "n_dev": 7, "n_test": 5}
    ],
)
class SelectiveCopy(Copied):
    """Symbols at drawn places among blanks, then each symbol is asked for, in their order.

    How far a symbol is from where it is asked for differs from one to the next, so that a fixed delay is no answer.
    Source: Gu and Dao 2023 (Mamba), section 3.1 and figure 2; Jing et al. 2019 (the denoise task).
    """

    def draw(self, random: np.random.Generator, length: int) -> tuple[Ids, Ids]:
        symbols = random.choice(self._symbols, self._n_symbols)
        question = np.full(length - self._n_symbols, BLANK)
        question[np.sort(random.permutation(len(question))[: self._n_symbols])] = symbols
        return asked_at_the_end(question, symbols)
