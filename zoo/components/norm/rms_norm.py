"""Root mean square normalization."""

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


class RMSNormSpec(Spec):
    type: Literal["rms_norm"] = "rms_norm"
    eps: float = Field(1e-6, gt=0, le=1)
    """Added to the mean square."""
    unit_offset: bool = False
    """Whether the gain is 1 + weight, the weight starting at 0 (Gemma), instead of the weight, starting at 1."""
    casts_before_gain: bool = False
    """Whether the normalised vector is rounded to the input's dtype before the gain (LLaMA, T5), instead of after it
    (Gemma, OLMo 2); in float32 both are the same."""

    def n_parameters(self, *, d_model: int) -> int:
        return d_model

    def n_kept(self, *, d_model: int, batch: Batch) -> int:
        return batch.n_tokens * (2 * d_model + 1)

    def cost(self, *, d_model: int, batch: Batch) -> Cost:
        return NO_PRODUCTS


@NORM.register(
    "rms_norm",
    spec=RMSNormSpec,
    examples=[{}, {"eps": 1e-3, "casts_before_gain": True}, {"unit_offset": True}],
)
class RMSNorm(nn.Module):
    """x / √(mean(x²) + eps) · gain, over D; worked out in float32 where x is narrower.

    Source: Zhang and Sennrich 2019; the offset and the two orders are those of the published code of Gemma and LLaMA.
    Shapes: x [B, T, D] -> [B, T, D].
    """

    def __init__(self, *, d_model: int, eps: float, unit_offset: bool, casts_before_gain: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(d_model) if unit_offset else torch.ones(d_model))
        self.eps = eps
        self.unit_offset = unit_offset
        self.casts_before_gain = casts_before_gain

    def forward(self, x: Tensor) -> Tensor:
        wide = torch.promote_types(x.dtype, torch.float32)
        gain = 1 + self.weight.to(wide) if self.unit_offset else self.weight
        if self.casts_before_gain and x.dtype != wide:
            return gain.to(self.weight.dtype) * F.rms_norm(x, x.shape[-1:], None, self.eps)
        if x.dtype == gain.dtype:  # torch itself widens, and rounds at its end
            return F.rms_norm(x, x.shape[-1:], gain, self.eps)
        return F.rms_norm(x.to(wide), x.shape[-1:], gain.to(wide), self.eps).to(x.dtype)
