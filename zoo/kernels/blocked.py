"""Restricted attention at the cost of its window: O(r·T·K) operations, memory linear in T, on every device.

The work goes through in boxes: some sentences, some heads or a stretch of one head, as much as fits the
processor's cache. In a box the positions of all heads lie end to end, with enough padding between heads that
no window reaches from one into the next, and are cut into blocks of queries. The keys of a block are a view
that overlaps its neighbours', so nothing is copied, and one batched product serves all the blocks. Weights
are kept for the backward pass where they are no larger than queries, keys, values and output together; wider
windows compute them again, as FlashAttention does (Dao et al. 2022).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from zoo.kernels.common import kept_weights, most_scores, outside_graphs
from zoo.masks import Mask

_SIZE = 32  # queries in a block: wider blocks waste more of the window, narrower ones make slower products
_FEWEST = 8  # blocks of a box, or wide windows would be packed for too few queries
_HIDDEN = -1e30  # added to a hidden score; finite, so that a row with nothing to attend stays a number


def refusal(q: Tensor, k: Tensor, *, mask: Mask, bias: Tensor | None) -> str:
    """Why this kernel cannot do a case; empty when it can."""
    if mask.radius is None:
        return "it needs a radius in the mask"
    if q.shape[2] != k.shape[2] or mask.offset:
        return (
            "it needs queries at all positions of the keys, "
            f"not {q.shape[2]} queries from position {mask.offset} for {k.shape[2]} keys"
        )
    if bias is not None:
        return "it adds no bias, which for every pair costs what the window saves"
    return ""


def window(mask: Mask) -> int:
    """Keys that a block of queries meets, a measure of the cost."""
    assert mask.radius is not None
    return _SIZE + mask.radius * (1 if mask.causal else 2)


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    mask: Mask,
    scale: float,
    dropout: float,
    soft_cap: float | None,
    with_sums: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Attention within the mask's radius, its global tokens left aside; in float32 where the inputs are narrower.

    Source: Vaswani et al. 2017, section 4 and Table 1, where r counts the whole window: 2·radius + 1.
    Shapes: q [B, H, T, K], k [B, G, T, K], v [B, G, T, Kv] -> [B, H, T, Kv], and, if asked for, the logarithm of
        each query's sum of exp(score) [B, H, T, 1], far below zero for one with nothing to attend.
    """
    return outside_graphs(_Blocked.apply)(q, k, v, mask, scale, dropout, soft_cap, with_sums)


class _Plan:
    """What all boxes of a case have in common, and the boxes."""

    def __init__(self, q: Tensor, k: Tensor, mask: Mask) -> None:
        assert mask.radius is not None
        B, H, self.length, _ = q.shape
        G = k.shape[1]
        self.mask, self.device = mask, q.device
        self.dtype = torch.promote_types(q.dtype, torch.float32)
        self.shared = H // G  # heads that read one group of keys
        self.radius = min(mask.radius, self.length - 1)
        self.left = _up(self.radius, 8)  # keys before a block; even widths suit the vector units
        self.right = 0 if mask.causal else self.left
        self.window = self.left + _SIZE + self.right
        self.band = mask.once(("blocked", self.radius, self.dtype, q.device), self._band)
        self.boxes = list(self._cut(B, G))
        self.n_blocks = self.boxes[-1].blocks.stop

    def _band(self) -> Tensor:
        """The radius and causality as a bias on a block's scores: [size, window]."""
        queries = torch.arange(_SIZE, device=self.device)[:, None] + self.left
        keys = torch.arange(self.window, device=self.device)
        hidden = (queries - keys).abs() > self.radius
        if self.mask.causal:
            hidden |= keys > queries
        return torch.zeros(hidden.shape, dtype=self.dtype, device=self.device).masked_fill_(hidden, _HIDDEN)

    def _cut(self, B: int, G: int) -> Iterator[_Box]:
        """Boxes of at most the scores that should be at work at once, and about equal."""
        most = max(
            _FEWEST, most_scores(self.device) // (self.shared * _SIZE * self.window)
        )  # blocks in a box
        n_heads = most // (_up(self.length + self.radius, _SIZE) // _SIZE)  # key heads in a box
        sentences, groups, positions = _part(B, n_heads // G), _part(G, n_heads), self.length
        if n_heads == 0:
            positions = _up(_part(self.length, most * _SIZE), _SIZE)
        first_block = 0
        for b in range(0, B, sentences):
            for g in range(0, G, groups):
                for start in range(0, self.length, positions):
                    stop = min(start + positions, self.length)
                    sizes = min(sentences, B - b), min(groups, G - g)
                    box = _Box(
                        self, slice(b, b + sizes[0]), slice(g, g + sizes[1]), sizes, start, stop, first_block
                    )
                    first_block = box.blocks.stop
                    yield box


class _Scratch:
    """Named memory that the boxes share, one after the other, so that it stays in the cache."""

    def __init__(self, plan: _Plan) -> None:
        self.dtype, self.device = plan.dtype, plan.device
        self.made: dict[str, Tensor] = {}

    def __call__(self, name: str, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        n = math.prod(shape)
        if name not in self.made or len(self.made[name]) < n:
            # Zeros, because padding is not written: hidden keys and unused queries may hold anything finite.
            self.made[name] = torch.zeros(n, dtype=dtype or self.dtype, device=self.device)
        return self.made[name][:n].view(shape)


@dataclass(frozen=True)
class _Box:
    """Positions [start, stop) of some heads, and how tensors of the case are packed into it and back.

    Packed queries are N blocks [N, shared · size, K], the heads of a group one after the other, so that
    grouped keys are read in place. Packed keys are one sequence [left + N · size + right, K].
    """

    plan: _Plan
    sentences: slice
    groups: slice
    sizes: tuple[int, int]
    """Sentences and groups in the box."""
    start: int
    stop: int
    first_block: int

    @property
    def padded(self) -> int:
        """Positions that a head takes: padding keeps it from the next head's window."""
        spare = self.plan.radius if math.prod(self.sizes) > 1 else 0
        return _up(self.stop - self.start + spare, _SIZE)

    @property
    def n_positions(self) -> int:
        return math.prod(self.sizes) * self.padded

    @property
    def blocks(self) -> slice:
        """Which of the blocks of all boxes are in this one."""
        return slice(self.first_block, self.first_block + self.n_positions // _SIZE)

    @property
    def keys(self) -> slice:
        """Positions of the keys that the box's queries may see."""
        return slice(max(0, self.start - self.plan.left), min(self.plan.length, self.stop + self.plan.right))

    def pack_queries(self, x: Tensor, scratch: _Scratch, name: str) -> Tensor:
        """[B, H, T, K] -> [N, shared · size, K], zeros as padding."""
        (B, G), shared, K = self.sizes, self.plan.shared, x.shape[-1]
        rows = scratch(name, B, G * shared, self.padded, K)
        rows[:, :, : self.stop - self.start] = self._of_queries(x)
        rows[:, :, self.stop - self.start :] = 0
        rows = rows.view(B, G, shared, -1, _SIZE, K).transpose(2, 3)  # [B, G, blocks, shared, size, K]
        return rows.reshape(-1, shared * _SIZE, K)  # a copy only where heads share keys

    def unpack_queries(self, blocks: Tensor, x: Tensor) -> None:
        """Writes [N, shared · size, K] to its place in [B, H, T, K]."""
        (B, G), shared, K = self.sizes, self.plan.shared, x.shape[-1]
        rows = blocks.view(B, G, -1, shared, _SIZE, K).transpose(2, 3).reshape(B, G * shared, -1, K)
        self._of_queries(x).copy_(rows[:, :, : self.stop - self.start])

    def pack_keys(self, x: Tensor, scratch: _Scratch, name: str) -> Tensor:
        """[B, G, T, K] -> [left + N · size + right, K]."""
        sequence = self.sequence(scratch, name, x.shape[-1])
        self._rows(sequence).copy_(x[self.sentences, self.groups, self.keys])
        return sequence

    def add_keys(self, sequence: Tensor, x: Tensor) -> None:
        """Adds [left + N · size + right, K] to its place in [B, G, T, K]; boxes come in their order."""
        rows, place = self._rows(sequence), x[self.sentences, self.groups, self.keys]
        # The box before has written up to its last key, `right` positions beyond its last query.
        n_seen = min(self.keys.stop, self.start + self.plan.right) - self.keys.start if self.start else 0
        place[:, :, :n_seen] += rows[:, :, :n_seen]
        place[:, :, n_seen:] = rows[:, :, n_seen:]

    def sequence(self, scratch: _Scratch, name: str, width: int, dtype: torch.dtype | None = None) -> Tensor:
        n = self.plan.left + self.n_positions + self.plan.right
        return scratch(name, n, width, dtype=dtype)

    def windows(self, sequence: Tensor) -> Tensor:
        """The keys of each block, an overlapping view: [N, window, K]."""
        K = sequence.shape[-1]
        return sequence.as_strided((self.n_positions // _SIZE, self.plan.window, K), (_SIZE * K, K, 1))

    def spread(self, weights: Tensor, x: Tensor, scale: float, sequence: Tensor) -> None:
        """Sums weightsᵀ · x · scale over the blocks whose windows meet, into the sequence.

        Shapes: weights [N, shared · size, window], x [N, shared · size, K], the sequence as of `pack_keys`.
        """
        K = sequence.shape[-1]
        sequence[self.n_positions :] = 0  # the rest is written by the first part of the windows
        for start in range(0, self.plan.window, _SIZE):  # parts without overlap between blocks
            part = weights[..., start : start + _SIZE].transpose(1, 2)
            place = sequence.as_strided((len(part), part.shape[1], K), (_SIZE * K, K, 1), start * K)
            torch.baddbmm(place, part, x, beta=min(start, 1), alpha=scale, out=place)

    def hide(self, scores: Tensor, scratch: _Scratch) -> None:
        """Hides in place what the mask hides: scores [N, shared · size, window]."""
        mask = self.plan.mask
        sequence = self.sequence(scratch, "hidden keys", 1).fill_(_HIDDEN)
        rows = self._rows(sequence)  # [B, G, keys, 1]; what is none of these stays hidden
        rows.zero_()
        if mask.keys is not None:
            rows.masked_fill_(~self._of_mask(mask.keys, self.keys)[..., None], _HIDDEN)
        scores.add_(self.windows(sequence).transpose(1, 2))
        by_head = scores.view(-1, self.plan.shared, _SIZE, self.plan.window)
        by_head.add_(self.plan.band)
        if mask.documents is not None:
            ids = self.sequence(scratch, "documents of keys", 1, mask.documents.dtype)
            self._rows(ids).copy_(self._of_mask(mask.documents, self.keys)[..., None])
            own = scratch("documents of queries", *self.sizes, self.padded, dtype=mask.documents.dtype)
            own[..., : self.stop - self.start] = self._of_mask(mask.documents, slice(self.start, self.stop))
            others = self.windows(ids).unsqueeze(1).squeeze(-1)  # [N, 1, window]
            by_head.masked_fill_((own.view(-1, _SIZE, 1) != others).unsqueeze(1), _HIDDEN)

    def _of_queries(self, x: Tensor) -> Tensor:
        heads = slice(self.groups.start * self.plan.shared, self.groups.stop * self.plan.shared)
        return x[self.sentences, heads, self.start : self.stop]

    def _of_mask(self, tensor: Tensor, positions: slice) -> Tensor:
        """A tensor of the mask [B or 1, T] -> [B or 1, 1, positions]."""
        return tensor[self.sentences if len(tensor) > 1 else slice(None), None, positions]

    def _rows(self, sequence: Tensor) -> Tensor:
        """The keys that are there in a packed sequence: [B, G, keys, K]."""
        (B, G), P, K = self.sizes, self.padded, sequence.shape[-1]
        shape = (B, G, self.keys.stop - self.keys.start, K)
        first = self.plan.left + self.keys.start - self.start
        return sequence.as_strided(shape, (G * P * K, P * K, K, 1), first * K)


class _Blocked(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        mask: Mask,
        scale: float,
        dropout: float,
        soft_cap: float | None,
        with_sums: bool,
    ) -> tuple[Tensor, Tensor | None]:
        B, H, T, K = q.shape
        plan = _Plan(q, k, mask)
        scratch = _Scratch(plan)
        # In the order of memory that linear layers take: [B, T, H, Kv].
        result = q.new_empty(B, T, H, v.shape[-1]).transpose(1, 2)
        sums = torch.empty(B, H, T, 1, dtype=plan.dtype, device=q.device) if with_sums else None
        scores_shape = torch.Size((plan.n_blocks, plan.shared * _SIZE, plan.window))
        keep, keep_scale = kept_weights(scores_shape, dropout, q.device)
        # Keeping the weights saves one product and the softmax of the backward pass, about 15 % of the time.
        all_weights = None
        if any(ctx.needs_input_grad) and plan.window <= 2 * (K + v.shape[-1]):
            all_weights = torch.empty(scores_shape, dtype=plan.dtype, device=q.device)
        idle = None
        if mask.hides_keys():
            idle = torch.empty((*scores_shape[:2], 1), dtype=torch.bool, device=q.device)
        for box in plan.boxes:
            queries = box.pack_queries(q, scratch, "queries")  # [N, shared · size, K]
            keys = box.windows(box.pack_keys(k, scratch, "keys"))  # [N, window, K]
            values = box.windows(box.pack_keys(v, scratch, "values"))  # [N, window, Kv]
            scores, weights = _weigh(box, queries, keys, scale, soft_cap, scratch, all_weights)
            output = scratch("output", *queries.shape[:2], v.shape[-1])
            dropped = weights if keep is None else (weights * keep[box.blocks]).mul_(keep_scale)
            torch.bmm(dropped, values, out=output)
            if idle is not None:
                torch.lt(scores.amax(dim=-1, keepdim=True), _HIDDEN / 2, out=idle[box.blocks])
                output.masked_fill_(idle[box.blocks], 0.0)
            box.unpack_queries(output, result)
            if sums is not None:
                box.unpack_queries(scores.logsumexp(dim=-1, keepdim=True), sums)
        ctx.save_for_backward(q, k, v, all_weights, idle, keep)
        ctx.plan, ctx.scale, ctx.keep_scale, ctx.soft_cap = plan, scale, keep_scale, soft_cap
        return result, sums

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, d_sums: Tensor | None) -> tuple[Tensor | None, ...]:
        q, k, v, all_weights, idle, keep = ctx.saved_tensors
        plan: _Plan = ctx.plan
        scratch = _Scratch(plan)
        d_q, d_k, d_v = (torch.empty_like(x) for x in (q, k, v))
        # Every product writes to given memory, which autocast leaves alone.
        for box in plan.boxes:
            queries = box.pack_queries(q, scratch, "queries")  # [N, shared · size, K]
            keys = box.windows(box.pack_keys(k, scratch, "keys"))  # [N, window, K]
            values = box.windows(box.pack_keys(v, scratch, "values"))  # [N, window, Kv]
            d_output = box.pack_queries(grad, scratch, "d output")  # [N, shared · size, Kv]
            if idle is not None:
                d_output.masked_fill_(idle[box.blocks], 0.0)
            if all_weights is None:
                weights = _weigh(box, queries, keys, ctx.scale, ctx.soft_cap, scratch, None)[1]
            else:
                weights = all_weights[box.blocks]
            dropped = weights if keep is None else (weights * keep[box.blocks]).mul_(ctx.keep_scale)

            d_values = box.sequence(scratch, "d values", v.shape[-1])
            box.spread(dropped, d_output, 1.0, d_values)
            box.add_keys(d_values, d_v)
            d_weights = torch.bmm(d_output, values.transpose(1, 2), out=scratch("scores", *weights.shape))
            if keep is not None:
                d_weights.mul_(keep[box.blocks]).mul_(ctx.keep_scale)
            d_scores = scratch("d scores", *weights.shape)
            torch._softmax_backward_data(d_weights, weights, -1, plan.dtype, grad_input=d_scores)
            if d_sums is not None:
                d_scores.addcmul_(weights, box.pack_queries(d_sums, scratch, "d sums"))
            if ctx.soft_cap is not None:  # tanh' = 1 - tanh²
                capped = torch.baddbmm(
                    d_weights,
                    queries,
                    keys.transpose(1, 2),
                    beta=0,
                    alpha=ctx.scale / ctx.soft_cap,
                    out=d_weights,
                ).tanh_()
                d_scores.mul_(capped.square_().neg_().add_(1.0))
            d_queries = scratch("d queries", *queries.shape)
            torch.baddbmm(d_queries, d_scores, keys, beta=0, alpha=ctx.scale, out=d_queries)
            box.unpack_queries(d_queries, d_q)
            d_keys = box.sequence(scratch, "d keys", k.shape[-1])
            box.spread(d_scores, queries, ctx.scale, d_keys)
            box.add_keys(d_keys, d_k)
        return d_q, d_k, d_v, None, None, None, None, None


def _weigh(
    box: _Box,
    queries: Tensor,
    keys: Tensor,
    scale: float,
    soft_cap: float | None,
    scratch: _Scratch,
    all_weights: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Masked scores and their softmax, in its place where weights are kept: [N, shared · size, window]."""
    shape = (*queries.shape[:2], keys.shape[1])
    scores = scratch("scores", *shape)
    torch.baddbmm(scores, queries, keys.transpose(1, 2), beta=0, alpha=scale, out=scores)
    if soft_cap is not None:
        scores.div_(soft_cap).tanh_().mul_(soft_cap)
    box.hide(scores, scratch)
    weights = scratch("weights", *shape) if all_weights is None else all_weights[box.blocks]
    torch.softmax(scores, dim=-1, out=weights)
    return scores, weights


def _up(n: int, unit: int) -> int:
    """n rounded up to a multiple of unit."""
    return -(-n // unit) * unit


def _part(n: int, most: int) -> int:
    """The size of about equal parts of n, each at most `most`, but at least 1."""
    return -(-n // -(-n // max(1, most)))
