"""Layer normalization."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.kinds import NORM


class LayerNormSpec(Spec):
    type: Literal["layer_norm"] = "layer_norm"
    eps: float = Field(1e-6, gt=0, le=1)
    """Added to the variance; 1e-6 is tensor2tensor's, the paper gives none (torch: 1e-5, BERT: 1e-12)."""
    bias: bool = True
    """Whether a learned shift is added after the learned gain."""


@NORM.register("layer_norm", spec=LayerNormSpec, examples=[{}, {"eps": 1e-3, "bias": False}])
class LayerNorm(nn.Module):
    """(x - mean) / √(variance + eps) · gain + bias, over D; the variance is the biased one.

    Source: Ba et al. 2016; Vaswani et al. 2017, section 3.1.
    Shapes: x [B, T, D] -> [B, T, D].
    """

    def __init__(self, *, d_model: int, eps: float, bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d_model))
        self.bias = nn.Parameter(torch.zeros(d_model)) if bias else None
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)
