"""Attention as the formula says it: the kernel that every other one is measured against."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.masks import Mask


def attention(
    q: Tensor, k: Tensor, v: Tensor, *, mask: Mask, scale: float, bias: Tensor | None, dropout: float
) -> tuple[Tensor, Tensor]:
    """softmax(q kᵀ · scale + bias) v, in float32 where the inputs are narrower.

    Source: Vaswani et al. 2017, equation 1.
    Shapes: q [B, H, T, K], k [B, G, S, K], v [B, G, S, Kv] -> output [B, H, T, Kv] and the weights before
        dropout [B, H, T, S], float32 at least.
    """
    n_shared = q.shape[1] // k.shape[1]  # heads that read one group
    k, v = k.repeat_interleave(n_shared, dim=1), v.repeat_interleave(n_shared, dim=1)  # [B, H, S, K]
    wide = torch.promote_types(q.dtype, torch.float32)
    scores = q.to(wide) @ k.to(wide).transpose(-2, -1) * scale  # [B, H, T, S]
    if bias is not None:
        scores = scores + bias
    allowed = mask.dense(q.shape[2], k.shape[2], q.device)
    if allowed is not None:
        # The lowest number and then zeros, not -inf: a row with nothing to attend gives zeros and zero
        # gradients, and no NaN arises on the way.
        scores = scores.masked_fill(~allowed, torch.finfo(wide).min)
    weights = scores.softmax(dim=-1)
    if allowed is not None:
        weights = weights.masked_fill(~allowed, 0.0)
    output = F.dropout(weights, dropout) @ v.to(wide)
    return output.to(q.dtype), weights
