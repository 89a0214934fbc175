"""Normalisation before each sublayer, on the branch only."""

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


class PreNormSpec(LayoutSpec):
    type: Literal["pre_norm"] = "pre_norm"
    ends_normed: ClassVar[bool] = False
    leaves_out: ClassVar[bool] = True
    wiring: ClassVar[tuple[str, ...]] = ("fork", "norm", "sublayer", "add")

    def n_parameters(self, *, d_model: int, norms: Sequence[Spec]) -> int:
        return n_of_norms(norms, d_model)

    def n_kept(self, *, d_model: int, norms: Sequence[Spec], batch: Batch) -> int:
        return n_kept_of_norms(norms, d_model, batch)

    def cost(self, *, d_model: int, norms: Sequence[Spec], batch: Batch) -> Cost:
        return NO_PRODUCTS


@LAYOUT.register("pre_norm", spec=PreNormSpec, examples=[{}])
class PreNorm(nn.Module):
    """x = x + dropout(sublayer(norm(x))) for each sublayer in turn; the stack normalises once at its end.

    Source: Xiong et al. 2020; GPT-2; tensor2tensor's transformer since version 2 of its settings.
    Shapes: x [B, T, D], sublayers [B, T, D] -> [B, T, D] each -> [B, T, D].
    """

    def __init__(self, *, d_model: int, norms: Sequence[Spec], dropout: float) -> None:
        super().__init__()
        self.norms = nn.ModuleList(NORM.build(norm, d_model=d_model) for norm in norms)
        self.dropout = dropout

    def forward(self, x: Tensor, sublayers: Sequence[Callable[[Tensor], Tensor]]) -> Tensor:
        for norm, sublayer in zip(self.norms, sublayers, strict=True):
            x = dropout_add(x, sublayer(norm(x)), self.dropout, training=self.training)
        return x
