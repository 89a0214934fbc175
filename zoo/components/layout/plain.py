"""Sublayers one after the other, without residual sums or norms: as networks were before them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Literal

from torch import Tensor, nn

from registry import Spec
from zoo.costs import NO_PRODUCTS, Cost
from zoo.kernels.dropout import dropout as drop
from zoo.kinds import LAYOUT, LayoutSpec
from zoo.sizes import Batch


class PlainSpec(LayoutSpec):
    type: Literal["plain"] = "plain"
    ends_normed: ClassVar[bool] = False
    leaves_out: ClassVar[bool] = True
    uses_norms: ClassVar[bool] = False
    wiring: ClassVar[tuple[str, ...]] = ("sublayer",)

    def n_parameters(self, *, d_model: int, norms: Sequence[Spec]) -> int:
        return 0

    def n_kept(self, *, d_model: int, norms: Sequence[Spec], batch: Batch) -> int:
        return 0

    def cost(self, *, d_model: int, norms: Sequence[Spec], batch: Batch) -> Cost:
        return NO_PRODUCTS


@LAYOUT.register("plain", spec=PlainSpec, examples=[{}])
class Plain(nn.Module):
    """x = dropout(sublayer(x)) for each sublayer in turn; one that gives nothing is left out.

    Source: Sutskever et al. 2014, stacked recurrent layers; dropout between them as Zaremba et al. 2014.
    Shapes: x [B, T, D], sublayers [B, T, D] -> [B, T, D] each -> [B, T, D].
    """

    def __init__(self, *, d_model: int, norms: Sequence[Spec], dropout: float) -> None:
        super().__init__()
        self.dropout = dropout

    def forward(self, x: Tensor, sublayers: Sequence[Callable[[Tensor], Tensor]]) -> Tensor:
        for sublayer in sublayers:
            x = drop(sublayer(x), self.dropout, training=self.training)
        return x
