"""The length penalty n^α: for α = 1 hypotheses are ranked by their mean log probability."""

from __future__ import annotations

from typing import Literal, TypeVar

from pydantic import Field
from torch import Tensor

from registry import Spec
from zoo.kinds import LENGTH_PENALTY

Length = TypeVar("Length", float, Tensor)


class PowerPenaltySpec(Spec):
    type: Literal["power"] = "power"
    alpha: float = Field(1.0, ge=0, le=10)
    """Strength: 0 ranks by log probability alone, larger values favour longer outputs."""


@LENGTH_PENALTY.register("power", spec=PowerPenaltySpec, examples=[{}, {"alpha": 0.4}])
class PowerPenalty:
    """Divides a hypothesis's log probability by n^α.

    Source: fairseq's `lenpen`, transformers' `length_penalty`, Marian's `normalize`; n counts the tokens
        written, the end of the sentence included.
    Shapes: n a number, or a Tensor of any shape -> the same.
    """

    def __init__(self, *, alpha: float) -> None:
        self.alpha = alpha

    def __call__(self, length: Length) -> Length:
        return (1.0 * length) ** self.alpha
