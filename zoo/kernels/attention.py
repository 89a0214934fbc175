"""Scaled dot-product attention: one call, several kernels, chosen from the mask's description."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.kernels import blocked, eager, matmul, sdpa
from zoo.masks import Mask


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    mask: Mask,
    scale: float,
    bias: Tensor | None = None,
    dropout: float = 0.0,
    kernel: str = "auto",
) -> Tensor:
    """q [B,H,T,K], k [B,G,S,K], v [B,G,S,Kv] -> [B,H,T,Kv]."""
    if kernel == "eager":
        return eager.attention(q, k, v, mask=mask, scale=scale, bias=bias, dropout=dropout)[0]
    if kernel == "blocked":
        return blocked.attention(q, k, v, mask=mask, scale=scale, dropout=dropout)
    if kernel == "matmul":
        return matmul.attention(q, k, v, mask=mask, scale=scale, bias=bias, dropout=dropout)
    return sdpa.attention(q, k, v, mask=mask, scale=scale, bias=bias, dropout=dropout)


def attend_eager(
    q: Tensor, k: Tensor, v: Tensor, *, mask: Mask, scale: float, bias: Tensor | None = None, dropout: float = 0.0
) -> tuple[Tensor, Tensor]:
    """The formula, step by step: also gives the weights [B,H,T,S]."""
    return eager.attention(q, k, v, mask=mask, scale=scale, bias=bias, dropout=dropout)
