"""Attention by plain matrix products: on the CPU often the fastest for short sequences.

With short sequences in bfloat16 torch's fused CPU kernel takes 5 to 16 times as long as two products and a
softmax; and it falls back to unfused code for dropout, for a bias that learns and for values wider or
narrower than keys. Here the work goes through in chunks whose scores stay in the processor's cache.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from zoo import hardware
from zoo.kernels.common import kept_weights, most_scores, outside_graphs, without_autocast
from zoo.masks import Mask

_LONG_ROW = 64  # keys from which torch's softmax over bfloat16 is as fast as over float32 and back


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
) -> Tensor:
    """Attention that keeps its weights for the backward pass, so memory grows with T·S.

    Shapes: q [B, H, T, K], k [B, G, S, K], v [B, G, S, Kv], bias [1 or B, 1 or H, T, S] -> [B, H, T, Kv].
    """
    return outside_graphs(_Products.apply)(q, k, v, bias, mask, scale, dropout, soft_cap)


class _Products(torch.autograd.Function):
    # The heads of a group are stacked along the rows, so that one product serves them and reads the keys in
    # place: queries [B, H, T, K] are seen as [B·G, shared·T, K], scores [B·G, shared·T, S] as [B, H, T, S].

    @staticmethod
    def forward(
        ctx: Any,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        bias: Tensor | None,
        mask: Mask,
        scale: float,
        dropout: float,
        soft_cap: float | None,
    ) -> Tensor:
        B, H, T, K = q.shape
        G, S = k.shape[1:3]
        is_plain = bias is None and soft_cap is None and S >= _LONG_ROW
        wide = q.dtype if is_plain else torch.promote_types(q.dtype, torch.float32)
        idle = mask.idle(T, S, q.device)  # [B or 1, 1, T or 1, 1]
        # torch's softmax takes 15 times as long over rows that do not fill a vector register, so those get
        # hidden keys; not when there are few rows, where copying the keys would cost more.
        n_extra = max(0, hardware.floats_in_a_vector() - S) if T > 4 else 0
        made = ("padded bias", T, S, n_extra, wide, q.device)
        hidden = mask.once(made, lambda: _hidden(mask, T, S, n_extra, wide, q.device))
        if n_extra:
            k, v = F.pad(k, (0, 0, 0, n_extra)), F.pad(v, (0, 0, 0, n_extra))
            bias = None if bias is None else F.pad(bias, (0, n_extra))
            S = S + n_extra
        queries = q.reshape(B * G, -1, K)  # [B·G, shared·T, K]
        keys, values = k.reshape(B * G, S, K), v.reshape(B * G, S, -1)  # [B·G, S, K]
        output = queries.new_empty(*queries.shape[:2], values.shape[2])
        keep, keep_scale = kept_weights(torch.Size((*queries.shape[:2], S)), dropout, q.device)
        keeps_weights = any(ctx.needs_input_grad)
        n, parts = _chunks(B, H * T * S, q.device)
        all_weights = queries.new_empty((B if keeps_weights else n) * G, queries.shape[1], S)
        all_scores = queries.new_empty(n * G, queries.shape[1], S)
        all_wide = all_scores if q.dtype == wide else torch.empty_like(all_scores, dtype=wide)
        for chunk in parts:
            rows, first = slice(chunk.start * G, chunk.stop * G), slice(0, (chunk.stop - chunk.start) * G)
            scores, weights = all_scores[first], all_weights[rows if keeps_weights else first]
            torch.baddbmm(scores, queries[rows], keys[rows].transpose(1, 2), beta=0, alpha=scale, out=scores)
            wide_scores = all_wide[first]
            if q.dtype != wide:
                wide_scores.copy_(scores)
            if soft_cap is not None:
                wide_scores.div_(soft_cap).tanh_().mul_(soft_cap)
            for term in (hidden, bias):
                if term is not None:
                    wide_scores.view(-1, H, T, S).add_(term if term.shape[0] == 1 else term[chunk])
            if q.dtype == wide:
                torch.softmax(wide_scores, dim=-1, out=weights)
            else:
                weights.copy_(torch.softmax(wide_scores, dim=-1))
            if keep is not None:
                weights = (weights * keep[rows]).mul_(keep_scale)
            torch.bmm(weights, values[rows], out=output[rows])
        result = output.view(B, H, T, -1)
        if idle is not None:
            result.masked_fill_(idle, 0.0)
        ctx.save_for_backward(queries, keys, values, all_weights, keep, idle)
        ctx.shape, ctx.scale, ctx.keep_scale = (B, H, G, T, S), scale, keep_scale
        ctx.n_keys, ctx.wide, ctx.soft_cap = S - n_extra, wide, soft_cap
        ctx.bias_like = None if bias is None else (bias.shape, bias.dtype)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        queries, keys, values, all_weights, keep, idle = ctx.saved_tensors
        B, H, G, T, S = ctx.shape
        wide: torch.dtype = ctx.wide
        if idle is not None:
            grad = grad.masked_fill(idle, 0.0)
        d_output = grad.reshape(B * G, queries.shape[1], -1)
        d_queries, d_keys, d_values = (torch.empty_like(x) for x in (queries, keys, values))
        d_bias = None
        if ctx.needs_input_grad[3]:
            d_bias = torch.zeros(ctx.bias_like[0], dtype=wide, device=grad.device)
        with without_autocast(grad.device):
            for chunk in _chunks(B, H * T * S, grad.device)[1]:
                rows = slice(chunk.start * G, chunk.stop * G)
                weights = dropped = all_weights[rows]
                d_weights = torch.bmm(d_output[rows], values[rows].transpose(1, 2)).to(wide)
                if keep is not None:
                    d_weights.mul_(keep[rows]).mul_(ctx.keep_scale)
                    dropped = (weights * keep[rows]).mul_(ctx.keep_scale)
                torch.bmm(dropped.transpose(1, 2), d_output[rows], out=d_values[rows])
                d_scores = torch._softmax_backward_data(d_weights, weights.to(wide), -1, wide)
                if d_bias is not None:
                    part = d_bias if d_bias.shape[0] == 1 else d_bias[chunk]
                    part += d_scores.view(-1, H, T, S).sum_to_size(part.shape)
                if ctx.soft_cap is not None:
                    # tanh' = 1 - tanh², of scores made again: kept, they would double the memory.
                    made = torch.bmm(queries[rows], keys[rows].transpose(1, 2)).to(wide)
                    d_scores.mul_(made.mul_(ctx.scale / ctx.soft_cap).tanh_().square_().neg_().add_(1.0))
                d_scores = d_scores.to(queries.dtype)
                d_q, d_k = d_queries[rows], d_keys[rows]
                torch.baddbmm(d_q, d_scores, keys[rows], beta=0, alpha=ctx.scale, out=d_q)
                torch.baddbmm(d_k, d_scores.transpose(1, 2), queries[rows], beta=0, alpha=ctx.scale, out=d_k)
        if d_bias is not None:
            d_bias = d_bias[..., : ctx.n_keys].to(ctx.bias_like[1])
        d_q = d_queries.view(B, H, T, -1)
        d_k, d_v = (x.view(B, G, S, -1)[:, :, : ctx.n_keys] for x in (d_keys, d_values))
        return d_q, d_k, d_v, d_bias, None, None, None, None


def _hidden(
    mask: Mask, n_queries: int, n_keys: int, n_extra: int, dtype: torch.dtype, device: torch.device
) -> Tensor | None:
    """The mask as a bias [B or 1, 1, T or 1, S + extra] that hides the extra keys too."""
    bias = mask.bias(n_queries, n_keys, dtype, device)
    if n_extra == 0:
        return bias
    if bias is None:
        bias = torch.zeros(1, 1, 1, n_keys, dtype=dtype, device=device)
    return F.pad(bias, (0, n_extra), value=torch.finfo(dtype).min)


def _chunks(n_sentences: int, scores_each: int, device: torch.device) -> tuple[int, list[slice]]:
    """Sentences worked on at once: how many at most, and which."""
    size = min(n_sentences, max(1, most_scores(device) // scores_each))
    return size, [slice(start, min(start + size, n_sentences)) for start in range(0, n_sentences, size)]
