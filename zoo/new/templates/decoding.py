"""A decoding that draws from tokens whose logits come near the largest one.

Next:
    pytest test_my_part.py
    zoo describe decoding/my_part --plugin my_part.py
    zoo train quickstart --scale tiny --plugin my_part.py generation=my_part
"""

import math
from typing import Any, Literal

from pydantic import Field
from torch import Tensor
from zoo.generation.strategies.sampling import Sampling, SamplingSpec
from zoo.kinds import DECODING


class MyPartSpec(SamplingSpec):
    type: Literal["my_part"] = "my_part"  # type: ignore[assignment]
    n_deviations: float = Field(1.0, ge=0, le=100)
    """How far below the largest logit a token may be, in standard deviations of all."""


@DECODING.register(
    "my_part",
    spec=MyPartSpec,
    examples=[{"n_deviations": 0.5}],
)
class MyPart(Sampling):
    """Sampling among the tokens within n_deviations of the most probable one.

    Source: Tang et al. 2024 (top-nσ).
    """

    # What it adds to the constructor it extends; the rest is passed on.
    def __init__(self, *, n_deviations: float, **inherited: Any) -> None:
        super().__init__(**inherited)
        self.n_deviations = n_deviations

    def narrowed(self, scores: Tensor) -> Tensor:
        """Logits [N, V], -inf for tokens that are not drawn, as sampling asks for them."""
        possible = scores.isfinite()
        n = possible.sum(-1, keepdim=True)
        mean = scores.masked_fill(~possible, 0).sum(-1, keepdim=True) / n
        squares = (scores - mean).masked_fill(~possible, 0).square()
        deviation = (squares.sum(-1, keepdim=True) / n).sqrt()
        least = scores.amax(-1, keepdim=True) - self.n_deviations * deviation
        return super().narrowed(scores.masked_fill(scores < least, -math.inf))

    # What is no sampling extends nothing: it is called with a model, sources and their
    # mask, begins with zoo.generation.search.searchable(model, source, mask, ids), and
    # gives hypotheses: see zoo.kinds.Decoding and zoo/generation/strategies/greedy.py.
