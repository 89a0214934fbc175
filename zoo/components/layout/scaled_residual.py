"""Residual sums that keep their variance, without norms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Literal

from torch import Tensor, nn

from registry import Spec
from zoo.costs import NO_PRODUCTS, Cost
from zoo.kernels.dropout import dropout_add
from zoo.kinds import LAYOUT, LayoutSpec
from zoo.sizes import Batch


class ScaledResidualSpec(LayoutSpec):
    type: Literal["scaled_residual"] = "scaled_residual"
    ends_normed: ClassVar[bool] = False
    leaves_out: ClassVar[bool] = True
    uses_norms: ClassVar[bool] = False
    wiring: ClassVar[tuple[str, ...]] = ("fork", "sublayer", "add", "× √½")

    def n_parameters(self, *, d_model: int, norms: Sequence[Spec]) -> int:
        return 0

    def n_kept(self, *, d_model: int, norms: Sequence[Spec], batch: Batch) -> int:
        return 0

    def cost(self, *, d_model: int, norms: Sequence[Spec], batch: Batch) -> Cost:
        return NO_PRODUCTS


@LAYOUT.register("scaled_residual", spec=ScaledResidualSpec, examples=[{}])
class ScaledResidual(nn.Module):
    """x = √½ · (x + dropout(sublayer(x))) for each sublayer in turn; one that gives nothing is left out.

    Source: Gehring et al. 2017 (1705.03122), section 3.5: the sum of two has twice the variance.
    Shapes: x [B, T, D], sublayers [B, T, D] -> [B, T, D] each -> [B, T, D].
    """

    def __init__(self, *, d_model: int, norms: Sequence[Spec], dropout: float) -> None:
        super().__init__()
        self.dropout = dropout

    def forward(self, x: Tensor, sublayers: Sequence[Callable[[Tensor], Tensor]]) -> Tensor:
        for sublayer in sublayers:
            x = dropout_add(x, sublayer(x), self.dropout, training=self.training) * 0.5**0.5
        return x
