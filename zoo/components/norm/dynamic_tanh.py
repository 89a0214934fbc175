"""A squashing function in place of a norm."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.costs import NO_PRODUCTS, Cost
from zoo.kinds import NORM
from zoo.sizes import Batch


class DynamicTanhSpec(Spec):
    type: Literal["dynamic_tanh"] = "dynamic_tanh"
    alpha: float = Field(0.5, gt=0, le=1000)
    """What the learned α starts at: the paper's is 0.5, but less in language models, the wider the less."""

    def n_parameters(self, *, d_model: int) -> int:
        return 2 * d_model + 1

    def n_kept(self, *, d_model: int, batch: Batch) -> int:
        return 2 * batch.n_tokens * d_model

    def cost(self, *, d_model: int, batch: Batch) -> Cost:
        return NO_PRODUCTS


@NORM.register("dynamic_tanh", spec=DynamicTanhSpec, examples=[{}, {"alpha": 0.8}])
class DynamicTanh(nn.Module):
    """tanh(α x) · gain + bias, α one learned number; no statistics of x are taken.

    Source: Zhu et al. 2025, "Transformers without Normalization", algorithm 1.
    Shapes: x [B, T, D] -> [B, T, D].
    """

    def __init__(self, *, d_model: int, alpha: float) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.full((1,), alpha))
        self.weight = nn.Parameter(torch.ones(d_model))
        self.bias = nn.Parameter(torch.zeros(d_model))

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.alpha * x) * self.weight + self.bias
