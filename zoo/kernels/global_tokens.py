"""Global tokens beside a window: everyone sees them and they see everyone, at a cost linear in the length.

The window goes through the blocked kernel, the few global keys through plain products, and the two softmaxes are
joined by the logarithms of their sums. The rows of the few global queries are then put in their places.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.kernels import blocked, watching
from zoo.kernels.common import without_autocast
from zoo.kernels.eager import capped, masked_softmax, shared_by_heads
from zoo.masks import Mask


@dataclass(frozen=True)
class Places:
    """Where the global tokens of each sentence stand."""

    columns: Tensor
    """int64 [B or 1, n], all different; sentences with fewer than n are filled up with other columns."""
    is_global: Tensor
    """bool [B or 1, n], False for what fills up."""

    @property
    def n(self) -> int:
        """The most that a sentence has."""
        return self.columns.shape[1]

    def taken(self, x: Tensor) -> Tensor:
        """What stands there: x [B, H, S, K] -> [B, H, n, K]."""
        return x.gather(2, self._index(x))

    def put(self, rows: Tensor, x: Tensor) -> Tensor:
        """x [B, H, S, K] with rows [B, H, n, K] in their places."""
        index = self._index(x)
        rows = torch.where(self.is_global[:, None, :, None], rows.to(x.dtype), x.gather(2, index))
        return x.scatter(2, index, rows)

    def _index(self, x: Tensor) -> Tensor:
        return self.columns[:, None, :, None].expand(*x.shape[:2], -1, x.shape[3])


def places(mask: Mask, n_queries: int) -> Places:
    """The mask's global tokens among its queries; how many there are is read from the device, once a batch."""

    def make() -> Places:
        assert mask.global_tokens is not None
        chosen = mask.of_queries(mask.global_tokens, n_queries)
        # The meta device holds no numbers to count: there all might be global.
        n = chosen.shape[1] if chosen.is_meta else int(chosen.sum(dim=1).amax())
        columns = chosen.to(torch.int8).argsort(dim=1, descending=True)[:, :n]
        return Places(columns, chosen.gather(1, columns))

    return mask.once(("places", n_queries), make)


def attention(
    q: Tensor, k: Tensor, v: Tensor, *, mask: Mask, scale: float, dropout: float, soft_cap: float | None
) -> Tensor:
    """Attention within the mask's radius, and from and to its global tokens, in float32 where inputs are narrower.

    Source: Beltagy et al. 2020, section 3.1; the joint softmax of two parts as in Dao et al. 2022, section 3.1.
    Shapes: q [B, H, T, K], k [B, G, T, K], v [B, G, T, Kv] -> [B, H, T, Kv].
    """
    assert mask.global_tokens is not None
    found = places(mask, q.shape[2])
    near_mask = mask.once("without global keys", lambda: _without_global_keys(mask))
    near, near_sum = blocked.attention(
        q, k, v, mask=near_mask, scale=scale, dropout=dropout, soft_cap=soft_cap, with_sums=True
    )
    if found.n == 0:
        return near
    assert near_sum is not None
    # The n global keys, for every query.
    H, T, wide = q.shape[1], q.shape[2], near_sum.dtype
    keys = shared_by_heads(found.taken(k), H).to(wide)  # [B, H, n, K]
    values = shared_by_heads(found.taken(v), H).to(wide)
    scores = capped(q.to(wide) @ keys.transpose(-2, -1) * scale, soft_cap)  # [B, H, T, n]
    allowed = mask.once(("global keys", T), lambda: _shown(mask, found, T))  # [B or 1, 1, T, n]
    scores = scores.masked_fill(~allowed, torch.finfo(wide).min)
    far = F.dropout(masked_softmax(scores, allowed), dropout) @ values
    share = torch.sigmoid(
        scores.logsumexp(dim=-1, keepdim=True) - near_sum
    )  # of the joint sum of exponentials
    out = torch.lerp(near.to(wide), far, share).to(q.dtype)
    rows, _ = _everywhere(
        found.taken(q),
        k,
        v,
        mask=mask,
        found=found,
        scale=scale,
        dropout=dropout,
        bias=None,
        soft_cap=soft_cap,
    )
    return found.put(rows, out)


def attend_everywhere(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    mask: Mask,
    found: Places,
    scale: float,
    dropout: float,
    bias: Tensor | None = None,
) -> Tensor:
    """What global queries attend to: everything but for the mask's other rules, in float32 where inputs are narrower.

    Shapes: q [B, H, n, K] of the places found, k [B, G, S, K], v [B, G, S, Kv], bias [1 or B, 1 or H, n, S]
        -> [B, H, n, Kv].
    """
    out, weights = _everywhere(
        q, k, v, mask=mask, found=found, scale=scale, dropout=dropout, bias=bias, soft_cap=None
    )
    watching.seen_rows(weights, found.put)
    return out


def _everywhere(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    mask: Mask,
    found: Places,
    scale: float,
    dropout: float,
    bias: Tensor | None,
    soft_cap: float | None,
) -> tuple[Tensor, Tensor]:
    """The same with the weights before dropout [B, H, n, S]."""
    H, S, wide = q.shape[1], k.shape[2], torch.promote_types(q.dtype, torch.float32)
    allowed = mask.once(("global queries", found.n, S), lambda: _seen(mask, found, S))
    with without_autocast(q.device):
        keys, values = shared_by_heads(k, H).to(wide), shared_by_heads(v, H).to(wide)
        scores = capped(q.to(wide) @ keys.transpose(-2, -1) * scale, soft_cap)  # [B, H, n, S]
        if bias is not None:
            scores = scores + bias
        weights = masked_softmax(scores, allowed)
        return (F.dropout(weights, dropout) @ values).to(q.dtype), weights


def _without_global_keys(mask: Mask) -> Mask:
    assert mask.global_tokens is not None
    others = ~mask.global_tokens
    keys = others if mask.keys is None else others & mask.keys
    return replace(mask, keys=keys, global_tokens=None)


def _shown(mask: Mask, found: Places, n_queries: int) -> Tensor:
    """Which query may attend to which global key, the two at one offset: bool [B or 1, 1, T, n]."""
    allowed = found.is_global[:, None, None, :]
    if mask.causal:
        positions = mask.query_places(n_queries, found.columns.device)
        allowed = allowed & (found.columns[:, None, None, :] <= positions[:, None])
    if mask.documents is not None:
        own = mask.documents.gather(1, found.columns)
        allowed = allowed & (own[:, None, :] == mask.documents[:, :, None])[:, None]
    if mask.keys is not None:
        allowed = allowed & mask.keys.gather(1, found.columns)[:, None, None, :]
    return allowed


def _seen(mask: Mask, found: Places, n_keys: int) -> Tensor | None:
    """Which key a global query may attend to: bool, broadcastable to [B, 1, n, S]."""
    positions = (found.columns + mask.offset)[:, None, :, None]  # [B or 1, 1, n, 1]
    allowed: Tensor | None = None
    if mask.causal:
        allowed = mask.key_places(n_keys, positions.device) <= positions
    if mask.documents is not None:
        own = mask.documents.gather(1, found.columns + mask.offset)
        same = (own[:, :, None] == mask.documents[:, None, :])[:, None]
        allowed = same if allowed is None else allowed & same
    if mask.keys is not None:
        real = mask.keys[:, None, None, :]
        allowed = real if allowed is None else allowed & real
    return allowed
