"""How a head makes one vector of a sequence."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from zoo.costs import product
from zoo.kernels.linear import Linear
from zoo.sizes import Batch

Pool = Literal["first", "mean", "mean_but_first", "max", "last", "attention"]


class Pooling(nn.Module):
    """One vector a row, of its real tokens; for "attention" their mean, weighted by softmax(w·x).

    Shapes: hidden [B, T, D], mask bool [B, T], None: all tokens are real -> [B, D].
        A row without a real token gives finite numbers that mean nothing.
    """

    def __init__(self, *, d_model: int, pool: Pool) -> None:
        super().__init__()
        self.pool = pool
        self.scores = Linear(d_model, 1, bias=False) if pool == "attention" else None

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        if self.scores is None:
            return pooled(hidden, mask, self.pool)
        wide = torch.promote_types(hidden.dtype, torch.float32)
        scores = self.scores(hidden).squeeze(2).to(wide)  # [B, T]
        if mask is not None:
            scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
        weights = scores.softmax(dim=1).to(hidden.dtype)
        if mask is not None:
            hidden = hidden.masked_fill(~mask[:, :, None], 0.0)  # not 0 · NaN
        return (weights[:, None] @ hidden).squeeze(1)


def pooled(hidden: Tensor, mask: Tensor | None, pool: str) -> Tensor:
    """One vector a row, of its real tokens: hidden [B, T, D], mask bool [B, T] or None -> [B, D]."""
    if pool == "mean_but_first":
        if mask is None:
            return hidden[:, 1:].sum(dim=1) / max(hidden.shape[1] - 1, 1)
        mask, pool = mask & (mask.cumsum(dim=1) > 1), "mean"
    if pool == "mean":
        if mask is None:
            return hidden.mean(dim=1)
        n_real = mask.sum(dim=1, keepdim=True).clamp(min=1)
        return hidden.masked_fill(~mask[:, :, None], 0.0).sum(dim=1) / n_real.to(hidden.dtype)
    if pool == "max":
        if mask is None:
            return hidden.max(dim=1).values
        hidden = hidden.masked_fill(~mask[:, :, None], torch.finfo(hidden.dtype).min)
        return hidden.max(dim=1).values.masked_fill(~mask.any(dim=1, keepdim=True), 0.0)
    if mask is None:
        return hidden[:, 0 if pool == "first" else -1]
    places = mask.to(torch.int32)
    if pool == "last":
        places = places * torch.arange(mask.shape[1], device=mask.device, dtype=torch.int32)
    chosen = places.argmax(dim=1)  # of several largest the first
    return hidden[torch.arange(hidden.shape[0], device=hidden.device), chosen]


def pooling_flops(pool: Pool, d_model: int, batch: Batch) -> int:
    """The operations of `Pooling`: scores and weighted sum, where it is learned."""
    return 2 * product(batch.n_tokens, d_model, 1) if pool == "attention" else 0
