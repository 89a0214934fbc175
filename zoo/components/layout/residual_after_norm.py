"""Normalisation before each sublayer, of the residual as well."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Literal

from torch import Tensor, nn

from registry import Spec
from zoo.components.norms import n_kept_of_norms, n_of_norms
from zoo.costs import NO_PRODUCTS, Cost
from zoo.kernels.dropout import dropout_add
from zoo.kinds import LAYOUT, NORM, LayoutSpec
from zoo.sizes import Batch


class ResidualAfterNormSpec(LayoutSpec):
    type: Literal["residual_after_norm"] = "residual_after_norm"
    ends_normed: ClassVar[bool] = False
    wiring: ClassVar[tuple[str, ...]] = ("norm", "fork", "sublayer", "add")

    def n_parameters(self, *, d_model: int, norms: Sequence[Spec]) -> int:
        return n_of_norms(norms, d_model)

    def n_kept(self, *, d_model: int, norms: Sequence[Spec], batch: Batch) -> int:
        return n_kept_of_norms(norms, d_model, batch)

    def cost(self, *, d_model: int, norms: Sequence[Spec], batch: Batch) -> Cost:
        return NO_PRODUCTS


@LAYOUT.register("residual_after_norm", spec=ResidualAfterNormSpec, examples=[{}])
class ResidualAfterNorm(nn.Module):
    """h = norm(x); x = h + dropout(sublayer(h)) for each sublayer in turn.

    Source: Shoeybi et al. 2019 (Megatron-LM), its option apply_residual_connection_post_layernorm, which BLOOM's
        configuration kept.
    Shapes: x [B, T, D], sublayers [B, T, D] -> [B, T, D] each -> [B, T, D].
    """

    def __init__(self, *, d_model: int, norms: Sequence[Spec], dropout: float) -> None:
        super().__init__()
        self.norms = nn.ModuleList(NORM.build(norm, d_model=d_model) for norm in norms)
        self.dropout = dropout

    def forward(self, x: Tensor, sublayers: Sequence[Callable[[Tensor], Tensor]]) -> Tensor:
        for norm, sublayer in zip(self.norms, sublayers, strict=True):
            h = norm(x)
            x = dropout_add(h, sublayer(h), self.dropout, training=self.training)
        return x
