"""Normalisation before and after each sublayer, on the branch only."""

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


class SandwichSpec(LayoutSpec):
    type: Literal["sandwich"] = "sandwich"
    ends_normed: ClassVar[bool] = False
    leaves_out: ClassVar[bool] = True
    norms_branches: ClassVar[bool] = True
    wiring: ClassVar[tuple[str, ...]] = ("fork", "norm", "sublayer", "norm", "add")

    def n_parameters(self, *, d_model: int, norms: Sequence[Spec]) -> int:
        return 2 * n_of_norms(norms, d_model)

    def n_kept(self, *, d_model: int, norms: Sequence[Spec], batch: Batch) -> int:
        return 2 * n_kept_of_norms(norms, d_model, batch)

    def cost(self, *, d_model: int, norms: Sequence[Spec], batch: Batch) -> Cost:
        return NO_PRODUCTS


@LAYOUT.register("sandwich", spec=SandwichSpec, examples=[{}])
class Sandwich(nn.Module):
    """x = x + dropout(norm'(sublayer(norm(x)))) for each sublayer in turn, norm' being another norm of the same form.

    Source: Ding et al. 2021 (CogView), "Sandwich-LN"; Gemma 2; Kim et al. 2025 (Peri-LN), who normalise the embeddings
        and the last layer's output as well.
    Shapes: x [B, T, D], sublayers [B, T, D] -> [B, T, D] each -> [B, T, D].
    """

    def __init__(self, *, d_model: int, norms: Sequence[Spec], dropout: float) -> None:
        super().__init__()
        self.norms = nn.ModuleList(NORM.build(norm, d_model=d_model) for norm in norms)
        self.output_norms = nn.ModuleList(NORM.build(norm, d_model=d_model) for norm in norms)
        self.dropout = dropout

    def forward(self, x: Tensor, sublayers: Sequence[Callable[[Tensor], Tensor]]) -> Tensor:
        for norm, output_norm, sublayer in zip(self.norms, self.output_norms, sublayers, strict=True):
            x = dropout_add(x, output_norm(sublayer(norm(x))), self.dropout, training=self.training)
        return x
