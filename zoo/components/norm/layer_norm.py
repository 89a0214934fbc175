"""Layer normalization."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.costs import NO_PRODUCTS, Cost
from zoo.kinds import NORM
from zoo.sizes import Batch


class LayerNormSpec(Spec):
    type: Literal["layer_norm"] = "layer_norm"
    eps: float = Field(1e-6, gt=0, le=1)
    """Added to the variance; 1e-6 is tensor2tensor's, the paper gives none (torch: 1e-5, BERT: 1e-12)."""
    gain: bool = True
    """Whether a learned gain multiplies the normalised vector; OLMo has neither gain nor bias."""
    bias: bool = True
    """Whether a learned shift is added at the end."""

    def n_parameters(self, *, d_model: int) -> int:
        return (self.gain + self.bias) * d_model

    def n_kept(self, *, d_model: int, batch: Batch) -> int:
        return batch.n_tokens * (d_model + 2)

    def cost(self, *, d_model: int, batch: Batch) -> Cost:
        return NO_PRODUCTS


@NORM.register(
    "layer_norm",
    spec=LayerNormSpec,
    examples=[{}, {"eps": 1e-3, "bias": False}, {"gain": False}, {"gain": False, "bias": False}],
)
class LayerNorm(nn.Module):
    """(x - mean) / √(variance + eps) · gain + bias, over D; the variance is the biased one.

    Source: Ba et al. 2016; Vaswani et al. 2017, section 3.1; without gain and bias Groeneveld et al. 2024 (OLMo).
    Shapes: x [B, T, D] -> [B, T, D].
    """

    def __init__(self, *, d_model: int, eps: float, gain: bool, bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d_model)) if gain else None
        self.bias = nn.Parameter(torch.zeros(d_model)) if bias else None
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        gain: Tensor | None = self.weight
        if (
            gain is None and self.bias is not None
        ):  # torch's backward fails for a lone bias wider than x (autocast)
            gain = torch.ones_like(self.bias)
        return F.layer_norm(x, x.shape[-1:], gain, self.bias, self.eps)
