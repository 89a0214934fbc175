"""Attention by blocks: each block of queries meets a few blocks of keys, the first and the last meet all.

Memory and time are linear in the length, for blocks of one size: the blocks that a block meets are laid side by side,
and what meets them is a case of `attend`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.kernels import watching
from zoo.kernels.attention import attend, attend_eager
from zoo.masks import Mask


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    mask: Mask,
    scale: float,
    dropout: float,
    block_size: int,
    n_random: int,
    seed: int | None,
) -> Tensor:
    """softmax(q kᵀ · scale) v: the first and the last block of queries over all keys, the others over their blocks.

    Those are the first, the last, the block itself and its two neighbours, and n_random more: drawn by the seed, for
    each block and head others; without a seed the first block again, so that it counts 1 + n_random times. Up to
    5 + 2·n_random blocks it is all over all. A graph of torch.export holds any length, at a cost of O(T²).

    Source: Zaheer et al. 2020, section 2 and appendix D.
    Shapes: q [B, H, T, K], k [B, H, T, K], v [B, H, T, Kv] -> [B, H, T, Kv]; the last block may be cut.
        Of the mask the keys alone are looked at.
    """
    (B, H, T, _), pattern = q.shape, (block_size, n_random, seed)
    if torch.compiler.is_exporting():
        bias = log_counts(T, H, *pattern, device=q.device).to(q.dtype)
        return attend(q, k, v, mask=mask, scale=scale, bias=bias, dropout=dropout)
    if max_whole(block_size, n_random) >= T:
        return attend(q, k, v, mask=mask, scale=scale, dropout=dropout)
    met, keys = mask.once(
        ("block sparse", B, H, T, *pattern, q.device), lambda: _met(mask, B, H, T, *pattern, device=q.device)
    )
    with watching.watching(None):
        out = _attended(q, k, v, met, keys, mask=mask, scale=scale, dropout=dropout, block_size=block_size)
    if watching.current is not None and watching.current.is_here():
        bias = log_counts(T, H, *pattern, device=q.device)
        expected, weights = attend_eager(q, k, v, mask=mask, scale=scale, bias=bias)
        watching.seen_with_output(weights, out, expected)
    return out


def max_whole(block_size: int, n_random: int) -> int:
    """The longest sequence in which every token sees all others, in tokens."""
    return (5 + 2 * n_random) * block_size


def drawn_blocks(own: Tensor, n_blocks: int, n_heads: int, n_random: int, seed: int) -> Tensor:
    """For each of these blocks, none of them the first or last, different ones of those that it does not meet anyway.

    They follow from the numbers alone, so that every device and library draws the same.
    Shapes: own int64 [M] -> [H, M, n_random].
    """
    heads = torch.arange(n_heads, device=own.device)[:, None]
    mixed = _mixed(_mixed(_mixed(heads + seed) + own))  # [H, M]
    taken = _near(own, n_blocks).expand(n_heads, -1, -1)  # [H, M, 5]
    for j in range(n_random):
        n_free = n_blocks - (taken < n_blocks).sum(dim=-1)
        chosen = _mixed(mixed + j) % n_free.clamp(min=1)
        for each in taken.sort(dim=-1).values.unbind(dim=-1):  # the chosen one of those that are free
            chosen = chosen + (chosen >= each)
        taken = torch.cat([taken, chosen[..., None]], dim=-1)
    return taken[..., 5:]


def log_counts(
    T: int, H: int, block_size: int, n_random: int, seed: int | None, *, device: torch.device
) -> Tensor:
    """The logarithm of how often each query counts each key, as a bias of all scores: [1, 1 or H, T, T]."""
    tokens = torch.arange(T, device=device)
    own, last = tokens // block_size, (T - 1) // block_size
    rows, columns = own[:, None], own
    near = ((rows - columns).abs() <= 1) | (columns == 0) | (columns == last)
    counts = near.float()[None]  # [1, T, T]
    for random in _random(own, last + 1, H, n_random, seed).unbind(dim=-1):  # [1 or H, T]
        counts = counts + (random[..., None] == columns)
    sees_all = (rows == 0) | (rows == last) | (tokens[-1] < max_whole(block_size, n_random))
    return torch.where(sees_all, 1.0, counts).log().clamp(min=-1e30)[None]


def _random(own: Tensor, n_blocks: int, n_heads: int, n_random: int, seed: int | None) -> Tensor:
    """Drawn blocks, or the first again: [1 or H, M, n_random]."""
    if seed is None:
        return own.new_zeros(1, own.shape[0], n_random)
    return drawn_blocks(own, n_blocks, n_heads, n_random, seed)


def _near(own: Tensor, n_blocks: int) -> Tensor:
    """First, last, own and neighbouring blocks of blocks [M], n_blocks in place of what is there twice: [M, 5]."""
    before = torch.where(own <= 1, n_blocks, own - 1)
    after = torch.where(own >= n_blocks - 2, n_blocks, own + 1)
    return torch.stack([own * 0, own * 0 + n_blocks - 1, before, own, after], dim=-1)


def _met(
    mask: Mask,
    B: int,
    H: int,
    T: int,
    block_size: int,
    n_random: int,
    seed: int | None,
    *,
    device: torch.device,
) -> tuple[Tensor, Mask]:
    """The blocks of keys that each block between meets [B, H, N - 2, M], and a mask of their keys, a row a block."""
    n_blocks = -(-T // block_size)
    own = torch.arange(1, n_blocks - 1, device=device)
    random = _random(own, n_blocks, H, n_random, seed)
    met = torch.cat([_near(own, n_blocks).expand(len(random), -1, -1), random], dim=-1)
    is_there = met < n_blocks
    met = met.clamp(max=n_blocks - 1).expand(B, H, -1, -1)
    keys = torch.ones(B, T, dtype=torch.bool, device=device) if mask.keys is None else mask.keys
    blocks = F.pad(keys.expand(B, -1), (0, -T % block_size)).view(B, 1, n_blocks, block_size)
    real = _gathered(blocks.expand(-1, H, -1, -1), met) & is_there[..., None]  # [B, H, N - 2, M, block_size]
    return met, Mask(keys=real.flatten(0, 2).flatten(1))


def _attended(
    q: Tensor, k: Tensor, v: Tensor, met: Tensor, met_keys: Mask, *,
    mask: Mask, scale: float, dropout: float, block_size: int,
) -> Tensor:  # fmt: skip
    T = q.shape[2]
    last = (-(-T // block_size) - 1) * block_size
    ends = torch.cat([q[:, :, :block_size], q[:, :, last:]], dim=2)
    ends = attend(ends, k, v, mask=Mask(keys=mask.keys), scale=scale, dropout=dropout)
    rows = q[:, :, block_size:last].unflatten(2, (-1, block_size)).flatten(0, 2)[:, None]
    keys, values = (  # [B·H·(N - 2), 1, M·block_size, K]
        _gathered(F.pad(x, (0, 0, 0, -T % block_size)).unflatten(2, (-1, block_size)), met)
        .flatten(0, 2)
        .flatten(1, 2)[:, None]
        for x in (k, v)
    )
    middle = attend(rows, keys, values, mask=met_keys, scale=scale, dropout=dropout)
    middle = middle.view(*q.shape[:2], last - block_size, v.shape[3])
    return torch.cat([ends[:, :, :block_size], middle, ends[:, :, block_size:]], dim=2)


def _gathered(blocks: Tensor, met: Tensor) -> Tensor:
    """The blocks met: blocks [B, H, N, ...], met [B, H, N - 2, M] -> [B, H, N - 2, M, ...]."""
    index = met.flatten(2).view(*met.shape[:2], -1, *[1] * (blocks.dim() - 3))
    return blocks.gather(2, index.expand(-1, -1, -1, *blocks.shape[3:])).unflatten(2, met.shape[2:])


def _mixed(numbers: Tensor) -> Tensor:
    """Numbers as if drawn, below 2^32: by products and shifts that each bit of the given ones reaches."""
    x = numbers & 0xFFFFFFFF
    for _ in range(2):
        x = ((x ^ (x >> 16)) * 0x45D9F3B) & 0xFFFFFFFF
    return x ^ (x >> 16)
