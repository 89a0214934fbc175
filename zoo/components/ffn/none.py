"""No feed-forward network."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from registry import Spec
from zoo.costs import NO_PRODUCTS, Cost
from zoo.kinds import FFN
from zoo.sizes import Batch


class NoFFNSpec(Spec):
    type: Literal["none"] = "none"
    gives_nothing: ClassVar[bool] = True

    def n_parameters(self, *, d_model: int) -> int:
        return 0

    def n_kept(self, *, d_model: int, batch: Batch) -> int:
        return 0

    def cost(self, *, d_model: int, batch: Batch) -> Cost:
        return NO_PRODUCTS


@FFN.register("none", spec=NoFFNSpec, examples=[{}])
class NoFFN(nn.Module):
    """Zeros: the residual sum keeps what it had, and the layer is attention only.

    Source: Dong et al. 2021, the attention-only networks of their ablation.
    Shapes: x [B, T, D] -> [B, T, D].
    """

    def __init__(self, *, d_model: int) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)
