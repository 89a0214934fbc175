"""Attention by torch's FlexAttention: on CUDA, one compiled kernel that skips the blocks a mask hides.

Which blocks are hidden is read from the mask's description, by the positions, documents and padding at their
borders, so no mask over all pairs is made; for 65,536 tokens it would take 4 GB.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from zoo.masks import Mask

_BLOCK = 128  # queries and keys in a block, as flex_attention has it by default


def refusal(q: Tensor, *, bias: Tensor | None, dropout: float) -> str:
    """Why this kernel cannot do a case; empty when it can."""
    if q.device.type != "cuda":
        return f"it trains on CUDA only, and the queries are on {q.device.type}"
    if q.dtype == torch.float64:
        return "it computes in float32 at most, and the queries are float64"
    if dropout > 0.0:
        return "it drops no weights"
    if bias is not None:
        return "it adds no bias given as a tensor"
    return ""


def attention(q: Tensor, k: Tensor, v: Tensor, *, mask: Mask, scale: float, soft_cap: float | None) -> Tensor:
    """Attention over the blocks that the mask shows; memory linear in T and S.

    Source: Dong et al. 2024, "Flex Attention".
    Shapes: q [B, H, T, K], k [B, G, S, K], v [B, G, S, Kv] -> [B, H, T, Kv].
    """
    compiles = torch.compiler.is_compiling()
    run = cast(Callable[..., Tensor], flex_attention) if compiles else _compiled()
    return attention_with(run, q, k, v, mask=mask, scale=scale, soft_cap=soft_cap)


def attention_with(
    run: Callable[..., Tensor],
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    mask: Mask,
    scale: float,
    soft_cap: float | None,
) -> Tensor:
    """`attention` by the given flex_attention, compiled or not."""
    n_queries, n_keys, device = q.shape[2], k.shape[2], q.device
    made = ("flex", n_queries, n_keys, device)
    blocks = mask.once(made, lambda: block_mask(mask, n_queries, n_keys, device))
    cap = None if soft_cap is None else _capping(soft_cap)
    is_grouped = q.shape[1] != k.shape[1]
    return run(q, k, v, score_mod=cap, block_mask=blocks, scale=scale, enable_gqa=is_grouped)


@functools.cache  # one function for each cap: a new one at each call could make the compiler start again
def _capping(soft_cap: float) -> Callable[..., Tensor]:
    def cap(score: Tensor, batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return soft_cap * torch.tanh(score / soft_cap)

    return cap


@functools.cache
def _compiled() -> Callable[..., Tensor]:
    return torch.compile(flex_attention)  # at the first call: loading the compiler takes seconds


def block_mask(mask: Mask, n_queries: int, n_keys: int, device: torch.device) -> BlockMask:
    """The mask as FlexAttention wants it: which blocks to compute, and the rule inside those partly
    hidden."""
    mask.check(n_queries, n_keys)
    some, every = _shown_blocks(mask, n_queries, n_keys, device)
    return BlockMask.from_kv_blocks(
        *_listed(some & ~every),
        *_listed(every),
        BLOCK_SIZE=(_BLOCK, _BLOCK),
        mask_mod=_rule(mask),
        seq_lengths=(n_queries, n_keys),
    )


def _rule(mask: Mask) -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
    """The mask as a function of batch, head, query and key indices, traced once by FlexAttention."""
    causal, radius, offset = mask.causal, mask.radius, mask.offset
    keys, global_tokens, documents = mask.keys, mask.global_tokens, mask.documents

    def row(batch: Tensor, tensor: Tensor) -> Tensor:
        return batch if tensor.shape[0] > 1 else batch * 0  # a mask of one row serves every sentence

    def shows(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        position = query + offset
        shown = key >= 0
        if radius is not None:
            shown = shown & ((position - key).abs() <= radius)
            if global_tokens is not None:
                b = row(batch, global_tokens)
                shown = shown | global_tokens[b, position] | global_tokens[b, key]
        if causal:
            shown = shown & (key <= position)
        if documents is not None:
            b = row(batch, documents)
            shown = shown & (documents[b, position] == documents[b, key])
        if keys is not None:
            shown = shown & keys[row(batch, keys), key]
        return shown

    return shows


def _shown_blocks(mask: Mask, n_queries: int, n_keys: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Blocks that may show a pair, a superset, and blocks that show every pair, a subset: bool [B or 1, 1,
    rows, columns]."""
    query_first, query_last = _borders(n_queries, mask.offset, device)  # [rows]
    key_first, key_last = _borders(n_keys, 0, device)  # [columns]
    q_first, q_last = query_first[:, None], query_last[:, None]
    some = torch.ones(len(query_first), len(key_first), dtype=torch.bool, device=device)[None, None]
    # A block beyond the end is filled up by the kernel, which must not take its filling for tokens.
    every = (q_last - q_first == _BLOCK - 1) & (key_last - key_first == _BLOCK - 1)
    if mask.radius is not None:
        some = some & (key_first - q_last <= mask.radius) & (q_first - key_last <= mask.radius)
        every = every & (key_last - q_first <= mask.radius) & (q_last - key_first <= mask.radius)
        if mask.global_tokens is not None:
            own = (
                _reduced(mask.of_queries(mask.global_tokens, n_queries).to(torch.int8), "amax") > 0
            )  # [B, rows]
            others = _reduced(mask.global_tokens.to(torch.int8), "amax") > 0  # [B, columns]
            some = some | own[:, None, :, None] | others[:, None, None, :]
    if mask.causal:
        some = some & (key_first <= q_last)
        every = every & (key_last <= q_first)
    if mask.documents is not None:
        own_ids = mask.of_queries(mask.documents, n_queries)
        own_low, own_high = (_reduced(own_ids, how)[:, None, :, None] for how in ("amin", "amax"))
        low, high = (_reduced(mask.documents, how)[:, None, None, :] for how in ("amin", "amax"))
        some = some & (own_low <= high) & (low <= own_high)
        every = every & (own_low == own_high) & (low == high) & (own_low == low)
    if mask.keys is not None:
        real = mask.keys.to(torch.int8)
        some = some & (_reduced(real, "amax") > 0)[:, None, None, :]
        every = every & (_reduced(real, "amin") > 0)[:, None, None, :]
    return some, every.expand_as(some)


def _borders(n: int, offset: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """First and last position of each block."""
    first = torch.arange(offset, offset + n, _BLOCK, device=device)
    return first, (first + _BLOCK - 1).clamp(max=offset + n - 1)


def _reduced(tensor: Tensor, how: str) -> Tensor:
    """[B, n] -> the least or the greatest value of each block [B, blocks]."""
    rest = -tensor.shape[1] % _BLOCK
    if rest:
        tensor = torch.cat([tensor, tensor[:, -1:].expand(-1, rest)], dim=1)  # repeats change neither
    tensor = tensor.unflatten(1, (-1, _BLOCK))
    return tensor.amin(dim=-1) if how == "amin" else tensor.amax(dim=-1)


def _listed(blocks: Tensor) -> tuple[Tensor, Tensor]:
    """bool [B, 1, rows, columns] -> per row how many columns, and which, those first."""
    numbers = blocks.to(torch.int32)
    order = numbers.argsort(dim=-1, descending=True, stable=True)
    return numbers.sum(dim=-1, dtype=torch.int32), order.to(torch.int32)
