"""Generated sequences to be copied after a gap, needing no file."""

from __future__ import annotations

from typing import Literal

import numpy as np

from zoo.data.corpora._sequences import BLANK, Copied, CopiedSpec, Ids, asked_at_the_end
from zoo.kinds import CORPUS


class CopySpec(CopiedSpec):
    type: Literal["copy"] = "copy"


@CORPUS.register(
    "copy",
    spec=CopySpec,
    examples=[
        {"n_symbols": 3, "lengths": [6, 9], "test_lengths": [7, 13], "n_train": 23, "n_dev": 7, "n_test": 5}
    ],
)
class Copy(Copied):
    """Symbols, a gap of blanks, then each symbol is asked for, in their order.

    All symbols are equally far from where they are asked for: length - n_symbols places.
    Source: Hochreiter and Schmidhuber 1997; as the copying memory problem Arjovsky et al. 2016. Differs: every place
    that is asked at has a mark, where theirs has one before the first of them.
    """

    def draw(self, random: np.random.Generator, length: int) -> tuple[Ids, Ids]:
        symbols = random.choice(self._symbols, self._n_symbols)
        gap = np.full(length - 2 * self._n_symbols, BLANK)
        return asked_at_the_end(np.concatenate([symbols, gap]), symbols)
