"""Attention as the formula says it: the kernel that every other one is measured against."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.masks import Mask


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    mask: Mask,
    scale: float,
    bias: Tensor | None,
    dropout: float,
    soft_cap: float | None,
) -> tuple[Tensor, Tensor]:
    """softmax(cap(q kᵀ · scale) + bias) v, in float32 where the inputs are narrower.

    Source: Vaswani et al. 2017, equation 1; the cap: see `capped`.
    Shapes: q [B, H, T, K], k [B, G, S, K], v [B, G, S, Kv] -> output [B, H, T, Kv] and the weights before
        dropout [B, H, T, S], float32 at least.
    """
    k, v = shared_by_heads(k, q.shape[1]), shared_by_heads(v, q.shape[1])  # [B, H, S, K]
    wide = torch.promote_types(q.dtype, torch.float32)
    scores = capped(q.to(wide) @ k.to(wide).transpose(-2, -1) * scale, soft_cap)  # [B, H, T, S]
    if bias is not None:
        scores = scores + bias
    weights = masked_softmax(scores, mask.dense(q.shape[2], k.shape[2], q.device))
    output = F.dropout(weights, dropout) @ v.to(wide)
    return output.to(q.dtype), weights


def shared_by_heads(x: Tensor, n_heads: int) -> Tensor:
    """Keys or values [B, G, S, K], each group repeated for the heads that read it: [B, H, S, K]."""
    n_shared = n_heads // x.shape[1]
    return x if n_shared == 1 else x.repeat_interleave(n_shared, dim=1)


def capped(scores: Tensor, soft_cap: float | None) -> Tensor:
    """c · tanh(scores / c), which stays within ±c; the scores themselves without a cap.

    Source: Bello et al. 2017, equation 16; Gemma 2 (2408.00118), section 2.
    """
    return scores if soft_cap is None else soft_cap * torch.tanh(scores / soft_cap)


def masked_softmax(scores: Tensor, allowed: Tensor | None) -> Tensor:
    """Softmax over the last dimension, of what is allowed (True; None: all); rows where nothing is give zeros.

    Shapes: scores [B, H, T, S], allowed bool, broadcastable to them -> [B, H, T, S].
    """
    if allowed is None:
        return scores.softmax(dim=-1)
    # The lowest number and then zeros, not -inf: a row with nothing to attend gives zeros and zero
    # gradients, and no NaN arises on the way.
    weights = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min).softmax(dim=-1)
    return weights.masked_fill(~allowed, 0.0)
