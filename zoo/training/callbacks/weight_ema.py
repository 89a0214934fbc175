"""The moving average of a model's weights, as the result of its training."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from registry import Spec
from zoo.kinds import CALLBACK

if TYPE_CHECKING:
    from zoo.training.ema import WeightEma


class WeightEmaSpec(Spec):
    type: Literal["weight_ema"] = "weight_ema"
    averages_weights: ClassVar[bool] = True
    decay: float = Field(0.999, gt=0, lt=1)
    """Share of the mean that each step keeps: the mean is of about 1 / (1 - decay) steps."""
    warm_up: bool = False
    """Whether the n-th step keeps no more than (1 + n) / (10 + n), so that a short run forgets its first weights."""
    from_step: int = Field(0, ge=0, le=10**9)
    """The step after which averaging begins; up to it the mean is the weights themselves."""


@CALLBACK.register(
    "weight_ema", spec=WeightEmaSpec, examples=[{}, {"decay": 0.99, "warm_up": True, "from_step": 3}]
)
def weight_ema(*, decay: float, warm_up: bool, from_step: int) -> WeightEma:
    """The exponential moving average of the weights as the result of a training.

    It is what is validated, kept and used; training itself goes on from the last weights.
    Source: Polyak and Juditsky 1992; the warm-up is TensorFlow's.
    """
    from zoo.training.ema import WeightEma  # the way to lightning

    return WeightEma(decay=decay, warm_up=warm_up, from_step=from_step)
