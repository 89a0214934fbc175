"""No length penalty."""

from __future__ import annotations

from typing import Literal, TypeVar

from torch import Tensor

from registry import Spec
from zoo.kinds import LENGTH_PENALTY

Length = TypeVar("Length", float, Tensor)


class NoPenaltySpec(Spec):
    type: Literal["none"] = "none"


@LENGTH_PENALTY.register("none", spec=NoPenaltySpec, examples=[{}])
class NoPenalty:
    """Ranks hypotheses by log probability alone, which favours short ones.

    Source: the plain search for argmax P(y | x), before Wu et al. 2016 normalised it by length.
    Shapes: n a number, or a Tensor of any shape -> 1, of the same shape.
    """

    def __call__(self, length: Length) -> Length:
        return (1.0 * length) ** 0
