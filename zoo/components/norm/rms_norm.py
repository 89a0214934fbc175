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
    gain: bool = True
    """Whether a learned gain multiplies the normalised vector; the norms of queries and keys in Llama 4 have none."""
    unit_offset: bool = False
    """Whether the gain is 1 + weight, the weight starting at 0 (Gemma), instead of the weight, starting at 1."""
    casts_before_gain: bool = False
    """Whether the normalised vector is rounded to the input's dtype before the gain (LLaMA, T5), instead of after it
    (Gemma, OLMo 2); in float32 both are the same."""

    def check(self, *, d_model: int) -> None:
        if self.unit_offset and not self.gain:
            raise ValueError("unit_offset is of the gain, and there is none: leave it out")

    def n_parameters(self, *, d_model: int) -> int:
        return self.gain * d_model

    def n_kept(self, *, d_model: int, batch: Batch) -> int:
        return batch.n_tokens * ((1 + self.gain) * d_model + 1)

    def cost(self, *, d_model: int, batch: Batch) -> Cost:
        return NO_PRODUCTS


@NORM.register(
    "rms_norm",
    spec=RMSNormSpec,
    examples=[{}, {"eps": 1e-3, "casts_before_gain": True}, {"unit_offset": True}, {"gain": False}],
)
class RMSNorm(nn.Module):
    """x / √(mean(x²) + eps) · gain, over D; worked out in float32 where x is narrower.

    Source: Zhang and Sennrich 2019; the offset and the two orders are those of the published code of Gemma and LLaMA.
    Shapes: x [B, T, D] -> [B, T, D].
    """

    def __init__(
        self, *, d_model: int, eps: float, gain: bool, unit_offset: bool, casts_before_gain: bool
    ) -> None:
        super().__init__()
        first = torch.zeros(d_model) if unit_offset else torch.ones(d_model)
        self.weight = nn.Parameter(first) if gain else None
        self.eps = eps
        self.unit_offset = unit_offset
        self.casts_before_gain = casts_before_gain

    def forward(self, x: Tensor) -> Tensor:
        if self.weight is None:  # torch itself widens, and rounds at its end
            return F.rms_norm(x, x.shape[-1:], None, self.eps)
        wide = torch.promote_types(x.dtype, torch.float32)
        gain = 1 + self.weight.to(wide) if self.unit_offset else self.weight
        if self.casts_before_gain and x.dtype != wide:
            return gain.to(self.weight.dtype) * F.rms_norm(x, x.shape[-1:], None, self.eps)
        if x.dtype == gain.dtype:
            return F.rms_norm(x, x.shape[-1:], gain, self.eps)
        return F.rms_norm(x.to(wide), x.shape[-1:], gain.to(wide), self.eps).to(x.dtype)
