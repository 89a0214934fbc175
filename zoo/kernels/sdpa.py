"""torch's fused attention, given only what it does right and fast."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.masks import Mask


def attention(
    q: Tensor, k: Tensor, v: Tensor, *, mask: Mask, scale: float, bias: Tensor | None, dropout: float
) -> Tensor:
    """Attention by `scaled_dot_product_attention`, in memory linear in T and S where it is fused.

    Shapes: q [B, H, T, K], k [B, G, S, K], v [B, G, S, Kv], bias [1 or B, 1 or H, T, S] -> [B, H, T, Kv].
    """
    n_queries, n_keys, device = q.shape[2], k.shape[2], q.device
    # torch aligns its causal flag to the top left: with a cache (T < S) it would show too few keys.
    is_causal = (
        mask.causal
        and n_queries == n_keys
        and bias is None
        and mask.documents is None
        and not mask.hides_keys()
        # An exported graph is for every length, those that a radius narrows included.
        and (mask.radius is None or (not torch.compiler.is_exporting() and mask.radius >= n_keys - 1))
    )
    if is_causal:
        mask.check(n_queries, n_keys)
        return F.scaled_dot_product_attention(
            q, k, v, dropout_p=dropout, is_causal=True, scale=scale, enable_gqa=q.shape[1] != k.shape[1]
        )
    idle = mask.idle(n_queries, n_keys, device)
    shown = mask.once(("shown", n_queries, n_keys, device), lambda: _shown(mask, n_queries, n_keys, device))
    if bias is not None:
        bias = bias.to(q.dtype)
        shown = bias if shown is None else bias.masked_fill(~shown, float("-inf"))
    if shown is not None and device.type == "cuda" and q.shape[1] != k.shape[1]:
        # With a mask no fused kernel of CUDA reads grouped keys; a copy costs less than unfused code.
        n_shared = q.shape[1] // k.shape[1]
        k, v = k.repeat_interleave(n_shared, dim=1), v.repeat_interleave(n_shared, dim=1)
    output = F.scaled_dot_product_attention(
        q, k, v, attn_mask=shown, dropout_p=dropout, scale=scale, enable_gqa=q.shape[1] != k.shape[1]
    )
    if torch.compiler.is_exporting():
        # How heads lie in memory is the kernel's choice, and converters take others: no view may hang on it.
        output = output.contiguous()
    return output if idle is None else output.masked_fill(idle, 0.0)


def _shown(mask: Mask, n_queries: int, n_keys: int, device: torch.device) -> Tensor | None:
    """The dense mask, but queries with nothing to attend see all: no kernel meets an empty row."""
    allowed, idle = mask.dense(n_queries, n_keys, device), mask.idle(n_queries, n_keys, device)
    return allowed if allowed is None or idle is None else allowed | idle
