"""Attention without a softmax: sums over keys come before the products with queries, so the cost is linear."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.kernels.common import without_autocast
from zoo.masks import Mask

CHUNK = 64  # queries that meet each other's keys one by one; the keys before them are met in one sum


def attend_linearly(q: Tensor, k: Tensor, v: Tensor, *, mask: Mask) -> Tensor:
    """Σ_j (q_i · k_j) v_j / Σ_j q_i · k_j over the keys j that the mask shows, in float32 at least.

    Costs O((T + S) · K · Kv). Queries with nothing to attend give zeros and pass no gradient.

    Source: Katharopoulos et al. 2020, equations 5, 6 and 9 to 12.
    Shapes: q [B, H, T, K], k [B, H, S, K], v [B, H, S, Kv], q and k not negative -> [B, H, T, Kv], of v's dtype.
    Raises: ValueError for a radius or documents in the mask: sums over all keys cannot leave some out for some queries.
    """
    for name in ("radius", "documents"):
        if getattr(mask, name) is not None:
            raise ValueError(f"linear attention sums over all keys: it cannot keep to the {name} of a mask")
    T, S, wide = q.shape[2], k.shape[2], torch.promote_types(v.dtype, torch.float32)
    mask.check(T, S)
    queries, keys = q.to(wide), k.to(wide)
    if mask.keys is not None:
        keys = keys * mask.keys[:, None, :, None]
    values = F.pad(v.to(wide), (0, 1), value=1.0)  # [B, H, S, Kv + 1]: the last column sums the weights
    with without_autocast(q.device):
        if mask.causal:
            start, stop = mask.offset, mask.offset + T
            sums = _causal(queries, keys[:, :, start:stop], values[:, :, start:stop])  # [B, H, T, Kv + 1]
            if start:
                sums = sums + _whole(queries, keys[:, :, :start], values[:, :, :start])
        else:
            sums = _whole(queries, keys, values)
    total = sums[..., -1:]
    return (sums[..., :-1] / total.masked_fill(total == 0, 1.0)).to(v.dtype)


def _whole(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """q (kᵀ v), or (q kᵀ) v where the queries are so few that this costs less."""
    (T, K), (S, Kv) = q.shape[2:], v.shape[2:]
    if T * S * (K + Kv) < (T + S) * K * Kv:
        return q @ k.transpose(-2, -1) @ v
    return q @ (k.transpose(-2, -1) @ v)


def _causal(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Σ_{j <= i} (q_i · k_j) v_j, chunk by chunk: [B, H, T, Kv]."""
    T = q.shape[2]
    rest = -T % CHUNK if T > CHUNK else 0
    size = min(T, CHUNK)
    q, k, v = (F.pad(x, (0, 0, 0, rest)).unflatten(2, (-1, size)) for x in (q, k, v))  # [B, H, N, size, K]
    own = (q @ k.transpose(-2, -1)).tril() @ v  # [B, H, N, size, Kv]
    of_chunk = k.transpose(-2, -1) @ v  # [B, H, N, K, Kv]
    before = F.pad(of_chunk[:, :, :-1].cumsum(dim=2), (0, 0, 0, 0, 1, 0))
    return (own + q @ before).flatten(2, 3)[:, :, :T]
