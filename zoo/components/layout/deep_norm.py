"""Post-norm for very deep stacks: the residual counts more than the sublayer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.components.norms import n_kept_of_norms, n_of_norms
from zoo.costs import NO_PRODUCTS, Cost
from zoo.kernels.dropout import dropout_add
from zoo.kinds import LAYOUT, NORM, LayoutSpec
from zoo.sizes import Batch


class DeepNormSpec(LayoutSpec):
    type: Literal["deep_norm"] = "deep_norm"
    ends_normed: ClassVar[bool] = True
    wiring: ClassVar[tuple[str, ...]] = ("fork × α", "sublayer", "add", "norm")
    alpha: float = Field(gt=0, le=1000)
    """What the residual is multiplied by. A model of one stack of N layers: (2N)^¼; an encoder of N layers with a
    decoder of M: 0.81·(N⁴M)^(1/16) in the encoder and (3M)^¼ in the decoder. Goes with initialization deep_norm."""

    def n_parameters(self, *, d_model: int, norms: Sequence[Spec]) -> int:
        return n_of_norms(norms, d_model)

    def n_kept(self, *, d_model: int, norms: Sequence[Spec], batch: Batch) -> int:
        return n_kept_of_norms(norms, d_model, batch)

    def cost(self, *, d_model: int, norms: Sequence[Spec], batch: Batch) -> Cost:
        return NO_PRODUCTS


@LAYOUT.register("deep_norm", spec=DeepNormSpec, examples=[{"alpha": 1.7}])
class DeepNorm(nn.Module):
    """x = norm(α x + dropout(sublayer(x))) for each sublayer in turn.

    Source: Wang et al. 2022 (DeepNet), Figure 2.
    Shapes: x [B, T, D], sublayers [B, T, D] -> [B, T, D] each -> [B, T, D].
    """

    def __init__(self, *, d_model: int, norms: Sequence[Spec], dropout: float, alpha: float) -> None:
        super().__init__()
        self.norms = nn.ModuleList(NORM.build(norm, d_model=d_model) for norm in norms)
        self.dropout = dropout
        self.alpha = alpha

    def forward(self, x: Tensor, sublayers: Sequence[Callable[[Tensor], Tensor]]) -> Tensor:
        for norm, sublayer in zip(self.norms, sublayers, strict=True):
            x = norm(dropout_add(self.alpha * x, sublayer(x), self.dropout, training=self.training))
        return x
