"""No norm."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from registry import Spec
from zoo.costs import NO_PRODUCTS, Cost
from zoo.kinds import NORM
from zoo.sizes import Batch


class NoNormSpec(Spec):
    type: Literal["none"] = "none"

    def n_parameters(self, *, d_model: int) -> int:
        return 0

    def n_kept(self, *, d_model: int, batch: Batch) -> int:
        return 0

    def cost(self, *, d_model: int, batch: Batch) -> Cost:
        return NO_PRODUCTS


@NORM.register("none", spec=NoNormSpec, examples=[{}])
class NoNorm(nn.Module):
    """x as it is.

    Source: Bachlechner et al. 2020 (ReZero), whose layers have no norm; ModernBERT's first attention.
    Shapes: x [B, T, D] -> [B, T, D].
    """

    def __init__(self, *, d_model: int) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return x
