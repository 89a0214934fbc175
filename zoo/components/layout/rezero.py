"""Residuals that start as the identity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from registry import Spec
from zoo.components.norms import n_kept_of_norms, n_of_norms
from zoo.costs import NO_PRODUCTS, Cost
from zoo.kernels.dropout import dropout_add
from zoo.kinds import LAYOUT, NORM, LayoutSpec
from zoo.sizes import Batch


class ReZeroSpec(LayoutSpec):
    type: Literal["rezero"] = "rezero"
    ends_normed: ClassVar[bool] = False
    leaves_out: ClassVar[bool] = True
    wiring: ClassVar[tuple[str, ...]] = ("fork", "norm", "sublayer", "× α", "add")

    def n_parameters(self, *, d_model: int, norms: Sequence[Spec]) -> int:
        return n_of_norms(norms, d_model) + 1

    def n_kept(self, *, d_model: int, norms: Sequence[Spec], batch: Batch) -> int:
        return n_kept_of_norms(norms, d_model, batch) + len(norms) * batch.n_tokens * d_model

    def cost(self, *, d_model: int, norms: Sequence[Spec], batch: Batch) -> Cost:
        return NO_PRODUCTS


@LAYOUT.register("rezero", spec=ReZeroSpec, examples=[{}])
class ReZero(nn.Module):
    """x = x + dropout(α · sublayer(norm(x))) for each sublayer in turn; the layer learns its α from 0.

    Source: Bachlechner et al. 2020, equation 10; one α for all sublayers of a layer, as in their code.
    Differs: keeps the layer's norm on the branch; the paper's layers have none: give `norm: none`.
    Shapes: x [B, T, D], sublayers [B, T, D] -> [B, T, D] each -> [B, T, D].
    """

    def __init__(self, *, d_model: int, norms: Sequence[Spec], dropout: float) -> None:
        super().__init__()
        self.norms = nn.ModuleList(NORM.build(norm, d_model=d_model) for norm in norms)
        self.alpha = nn.Parameter(torch.zeros(1))
        self.dropout = dropout

    def forward(self, x: Tensor, sublayers: Sequence[Callable[[Tensor], Tensor]]) -> Tensor:
        for norm, sublayer in zip(self.norms, sublayers, strict=True):
            x = dropout_add(x, self.alpha * sublayer(norm(x)), self.dropout, training=self.training)
        return x
