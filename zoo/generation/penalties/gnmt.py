"""The length penalty of Google's 2016 system, used by the Transformer paper."""

from __future__ import annotations

from typing import Literal, TypeVar

from pydantic import Field
from torch import Tensor

from registry import Spec
from zoo.kinds import LENGTH_PENALTY

Length = TypeVar("Length", float, Tensor)


class GnmtPenaltySpec(Spec):
    type: Literal["gnmt"] = "gnmt"
    alpha: float = Field(0.6, ge=0, le=10)
    """Strength: 0 ranks by log probability alone, larger values favour longer outputs."""


@LENGTH_PENALTY.register("gnmt", spec=GnmtPenaltySpec, examples=[{}, {"alpha": 1.1}])
class GnmtPenalty:
    """Divides a hypothesis's log probability by ((5 + n) / 6)^α.

    Source: Wu et al. 2016, equation 14, without the coverage term; Vaswani et al. 2017, section 6.1: α = 0.6.
        n counts the tokens written, the end of the sentence included, as in tensor2tensor's beam search.
    Shapes: n a number, or a Tensor of any shape -> the same.
    """

    def __init__(self, *, alpha: float) -> None:
        self.alpha = alpha

    def __call__(self, length: Length) -> Length:
        return ((5.0 + length) / 6.0) ** self.alpha
