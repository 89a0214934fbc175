"""Normalization to a learned length."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.costs import NO_PRODUCTS, Cost
from zoo.kinds import NORM
from zoo.sizes import Batch


class ScaleNormSpec(Spec):
    type: Literal["scale_norm"] = "scale_norm"
    eps: float = Field(1e-5, gt=0, le=1)
    """The least length that a vector is divided by."""

    def n_parameters(self, *, d_model: int) -> int:
        return 1

    def n_kept(self, *, d_model: int, batch: Batch) -> int:
        return batch.n_tokens * (d_model + 3)

    def cost(self, *, d_model: int, batch: Batch) -> Cost:
        return NO_PRODUCTS


@NORM.register("scale_norm", spec=ScaleNormSpec, examples=[{}, {"eps": 1e-3}])
class ScaleNorm(nn.Module):
    """g · x / max(‖x‖, eps): every vector gets one learned length, which starts at √D.

    Source: Nguyen and Salazar 2019, equation 5; eps is that of their code.
    Shapes: x [B, T, D] -> [B, T, D].
    """

    def __init__(self, *, d_model: int, eps: float) -> None:
        super().__init__()
        self.length = nn.Parameter(torch.full((1,), d_model**0.5))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        wide = torch.promote_types(x.dtype, torch.float32)
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=wide)  # [B, T, 1]
        return x * (self.length / norm.clamp(min=self.eps)).to(x.dtype)
