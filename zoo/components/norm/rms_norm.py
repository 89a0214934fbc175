"""Root mean square normalization."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.kinds import NORM


class RMSNormSpec(Spec):
    type: Literal["rms_norm"] = "rms_norm"
    eps: float = Field(1e-6, gt=0, le=1)
    """Added to the mean square."""


@NORM.register("rms_norm", spec=RMSNormSpec, examples=[{}, {"eps": 1e-3}])
class RMSNorm(nn.Module):
    """x / √(mean(x²) + eps) · gain, over D.

    Source: Zhang and Sennrich 2019.
    Shapes: x [B, T, D] -> [B, T, D].
    """

    def __init__(self, *, d_model: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d_model))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)
