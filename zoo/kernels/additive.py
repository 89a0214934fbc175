"""Scores by a small network over each pair of query and key, never with all its hidden layers in memory at once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from zoo.kernels.common import most_scores, outside_graphs, without_autocast


def additive_scores(q: Tensor, k: Tensor, energy: Tensor) -> Tensor:
    """energy · tanh(q_i + k_j) for each pair, in float32 at least.

    The hidden layer [T, S, K] is made for a few queries at a time, and again in the backward pass.

    Source: Bahdanau et al. 2015, section A.1.2.
    Shapes: q [B, H, T, K], k [B, H, S, K], energy [H, K] -> [B, H, T, S].
    """
    wide = torch.promote_types(q.dtype, torch.float32)
    return outside_graphs(_Scores.apply)(q.to(wide), k.to(wide), energy.to(wide))


class _Scores(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, energy: Tensor) -> Tensor:
        scores = q.new_empty(*q.shape[:3], k.shape[2])  # [B, H, T, S]
        with without_autocast(q.device):
            for chunk in _chunks(q, k):
                hidden = _hidden(q[:, :, chunk], k)
                scores[:, :, chunk] = (hidden @ energy[:, None, :, None]).squeeze(-1)
        ctx.save_for_backward(q, k, energy)
        return scores

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q, k, energy = ctx.saved_tensors
        d_q, d_k, d_energy = torch.empty_like(q), torch.zeros_like(k), torch.zeros_like(energy)
        for chunk in _chunks(q, k):
            hidden = _hidden(q[:, :, chunk], k)  # [B, H, t, S, K]
            part = grad[:, :, chunk, :, None]  # [B, H, t, S, 1]
            d_energy += (part * hidden).sum((0, 2, 3))
            d_sum = (1 - hidden.square()).mul_(part).mul_(energy[:, None, None])
            d_q[:, :, chunk] = d_sum.sum(3)
            d_k += d_sum.sum(2)
        return d_q, d_k, d_energy


def _hidden(q: Tensor, k: Tensor) -> Tensor:
    return (q[:, :, :, None] + k[:, :, None]).tanh_()  # [B, H, t, S, K]


def _chunks(q: Tensor, k: Tensor) -> list[slice]:
    """Queries worked on at once."""
    T, each = q.shape[2], q.shape[0] * k.shape[1] * k.shape[2] * k.shape[3]
    size = max(1, most_scores(q.device) // max(1, each))
    return [slice(start, start + size) for start in range(0, T, size)]
