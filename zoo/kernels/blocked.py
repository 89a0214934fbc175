"""Restricted attention at the cost of its window: O(r·T·K) operations and memory linear in T, on every device.

The positions of all heads are laid end to end as one long sequence, with enough padding between heads that no window
reaches from one into the next. The sequence is cut into blocks of queries. The keys of a block are a view that
overlaps its neighbours', so nothing is copied, and one batched product serves the blocks of many heads. The work goes
through in chunks whose scores stay in the processor's cache. Weights are kept for the backward pass where they are no
larger than queries, keys, values and output together; wider windows compute them again, as FlashAttention does
(Dao et al. 2022).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from zoo.kernels.chunks import chunks, kept_weights
from zoo.masks import Mask

_SIZE = 32  # queries in a block: wider blocks waste more of the window, narrower ones make slower products
_HIDDEN = -1e30  # added to a hidden score; finite, so that a row with nothing to attend stays a number


def refusal(q: Tensor, k: Tensor, *, mask: Mask, bias: Tensor | None) -> str:
    """Why this kernel cannot do a case; empty when it can."""
    if mask.radius is None:
        return "it needs a radius in the mask"
    if q.shape[2] != k.shape[2] or mask.offset:
        return (
            f"it needs queries at all positions of the keys, not {q.shape[2]} queries from position {mask.offset} "
            f"for {k.shape[2]} keys"
        )
    if mask.global_tokens is not None:
        return "it knows no global tokens"
    if bias is not None:
        return "it adds no bias, which for every pair costs what the window saves"
    return ""


def attention(q: Tensor, k: Tensor, v: Tensor, *, mask: Mask, scale: float, dropout: float) -> Tensor:
    """Attention within the mask's radius, in float32 where the inputs are narrower.

    Source: Vaswani et al. 2017, section 4 and Table 1, where r counts the whole window: 2·radius + 1.
    Shapes: q [B, H, T, K], k [B, G, T, K], v [B, G, T, Kv] -> [B, H, T, Kv].
    """
    mask.check(q.shape[2], k.shape[2])
    return _Blocked.apply(q, k, v, mask, scale, dropout)


@dataclass(frozen=True)
class _Layout:
    """How [B, heads, T, K] becomes one padded sequence, N blocks of `size` positions.

    Query blocks hold the `shared` heads of a group one after the other, so grouped keys are read in place.
    """

    batch: int
    groups: int
    shared: int
    length: int
    radius: int
    size: int
    left: int
    right: int
    dtype: torch.dtype

    @classmethod
    def of(cls, q: Tensor, k: Tensor, mask: Mask) -> _Layout:
        assert mask.radius is not None
        B, H, T, _ = q.shape
        G = k.shape[1]
        radius = min(mask.radius, T - 1)
        halo = -(-radius // 8) * 8  # even widths for the vector units
        dtype = torch.promote_types(q.dtype, torch.float32)
        return cls(B, G, H // G, T, radius, _SIZE, halo, 0 if mask.causal else halo, dtype)

    @property
    def padded(self) -> int:
        """Positions of a head, with the padding that it shares with the next head."""
        return -(-(self.length + self.radius) // self.size) * self.size

    @property
    def window(self) -> int:
        """Keys of a block."""
        return self.left + self.size + self.right

    @property
    def n_blocks(self) -> int:
        return self.batch * self.groups * self.padded // self.size

    def pack_queries(self, x: Tensor) -> Tensor:
        """[B, H, T, K] -> blocks [N, shared · size, K], zeros as padding."""
        B, H, T, K = x.shape
        rows = x.new_empty(B, H, self.padded, K, dtype=self.dtype)
        rows[:, :, :T] = x
        rows[:, :, T:] = 0
        rows = rows.view(B, self.groups, self.shared, -1, self.size, K).transpose(2, 3)  # [B, G, blocks, shared, ...]
        return rows.reshape(self.n_blocks, self.shared * self.size, K)  # a view unless groups are shared

    def unpack_queries(self, blocks: Tensor) -> Tensor:
        """Blocks [N, shared · size, K] -> [B, H, T, K]."""
        K = blocks.shape[-1]
        rows = blocks.view(self.batch, self.groups, -1, self.shared, self.size, K).transpose(2, 3)
        return rows.reshape(self.batch, self.groups * self.shared, self.padded, K)[:, :, : self.length]

    def pack_keys(self, x: Tensor) -> Tensor:
        """[B, G, T, K] -> one sequence [left + N · size + right, K], zeros as padding."""
        sequence = x.new_empty(self.left + self.n_blocks * self.size + self.right, x.shape[-1], dtype=self.dtype)
        sequence[: self.left] = 0
        sequence[self.left + self.n_blocks * self.size :] = 0
        rows = self._rows(sequence)  # [B, G, padded, K]
        rows[:, :, : self.length] = x
        rows[:, :, self.length :] = 0
        return sequence

    def unpack_keys(self, sequence: Tensor) -> Tensor:
        """One sequence as by `pack_keys` -> [B, G, T, K]."""
        return self._rows(sequence)[:, :, : self.length]

    def windows(self, sequence: Tensor) -> Tensor:
        """The keys of each block, an overlapping view: [N, window, K]."""
        K = sequence.shape[-1]
        return sequence.as_strided((self.n_blocks, self.window, K), (self.size * K, K, 1))

    def pieces(self, sequence: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """The windows in parts that do not overlap from block to block: columns and their view [N, <= size, K]."""
        K = sequence.shape[-1]
        for start in range(0, self.window, self.size):
            width = min(self.size, self.window - start)
            view = sequence.as_strided((self.n_blocks, width, K), (self.size * K, K, 1), start * K)
            yield slice(start, start + width), view

    def chunks(self, device: torch.device) -> tuple[int, list[slice]]:
        """Blocks worked on at once: how many at most, and which."""
        return chunks(self.n_blocks, self.shared * self.size * self.window, device)

    def _rows(self, sequence: Tensor) -> Tensor:
        end = self.left + self.n_blocks * self.size
        return sequence[self.left : end].view(self.batch, self.groups, self.padded, -1)


class _Hiding:
    """What the mask hides of each block's window; made once for a layout and shared by the layers of a stack."""

    def __init__(self, layout: _Layout, mask: Mask, device: torch.device) -> None:
        self.layout = layout
        queries = torch.arange(layout.size, device=device)[:, None] + layout.left
        keys = torch.arange(layout.window, device=device)
        hidden = (queries - keys).abs() > layout.radius
        if mask.causal:
            hidden |= keys > queries
        self.band = torch.zeros(hidden.shape, dtype=layout.dtype, device=device).masked_fill_(hidden, _HIDDEN)

        sequence = torch.full(
            (layout.left + layout.n_blocks * layout.size + layout.right, 1), _HIDDEN, dtype=layout.dtype, device=device
        )
        rows = layout.unpack_keys(sequence)  # [B, G, T, 1], the padding stays hidden
        rows.zero_()
        self.may_leave_idle = mask.hides_keys()
        if mask.keys is not None:
            rows.masked_fill_(~mask.keys[:, None, :, None], _HIDDEN)
        self.keys = layout.windows(sequence).transpose(1, 2)  # [N, 1, window]

        self.documents: tuple[Tensor, Tensor] | None = None
        if mask.documents is not None:
            ids = mask.documents[:, None, :, None].expand(layout.batch, layout.groups, -1, 1)
            sequence = torch.zeros(sequence.shape, dtype=ids.dtype, device=device)
            layout.unpack_keys(sequence).copy_(ids)
            own = layout._rows(sequence).reshape(layout.n_blocks, 1, layout.size, 1)
            self.documents = own, layout.windows(sequence).view(layout.n_blocks, 1, 1, layout.window)

    def apply(self, scores: Tensor, chunk: slice) -> None:
        """Hides in place in scores [n, shared · size, window]."""
        scores.add_(self.keys[chunk])
        scores = scores.view(-1, self.layout.shared, self.layout.size, self.layout.window)
        scores.add_(self.band)
        if self.documents is not None:
            own, others = self.documents
            scores.masked_fill_(own[chunk] != others[chunk], _HIDDEN)


class _Blocked(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, mask: Mask, scale: float, dropout: float) -> Tensor:
        layout = _Layout.of(q, k, mask)
        hiding = mask.once(("blocked", layout, q.device), lambda: _Hiding(layout, mask, q.device))
        queries = layout.pack_queries(q)  # [N, shared · size, K]
        key_rows, value_rows = layout.pack_keys(k), layout.pack_keys(v)
        keys, values = layout.windows(key_rows), layout.windows(value_rows)  # [N, window, K]
        output = queries.new_empty(*queries.shape[:2], v.shape[-1])
        idle = output.new_empty(*output.shape[:2], 1, dtype=torch.bool) if hiding.may_leave_idle else None
        n, parts = layout.chunks(q.device)
        keep, keep_scale = kept_weights(torch.Size((*queries.shape[:2], layout.window)), dropout, q.device)
        # Keeping the weights saves one product and the softmax of the backward pass, about 15 % of the time.
        keeps_weights = any(ctx.needs_input_grad) and layout.window <= 2 * (q.shape[-1] + v.shape[-1])
        all_scores = queries.new_empty(n, queries.shape[1], layout.window)
        all_weights = queries.new_empty(layout.n_blocks if keeps_weights else n, *all_scores.shape[1:])
        for chunk in parts:
            scores = all_scores[: chunk.stop - chunk.start]
            weights = all_weights[chunk] if keeps_weights else all_weights[: chunk.stop - chunk.start]
            _weigh(queries[chunk], keys[chunk], scale, hiding, chunk, scores, weights)
            if idle is not None:
                torch.lt(scores.amax(dim=-1, keepdim=True), _HIDDEN / 2, out=idle[chunk])
            if keep is not None:
                weights = (weights * keep[chunk]).mul_(keep_scale)
            torch.bmm(weights, values[chunk], out=output[chunk])
        if idle is not None:
            output.masked_fill_(idle, 0.0)
        kept = all_weights if keeps_weights else None
        ctx.save_for_backward(queries, key_rows, value_rows, output, kept, idle, keep)
        ctx.layout, ctx.hiding, ctx.scale, ctx.keep_scale, ctx.dtype = layout, hiding, scale, keep_scale, q.dtype
        return layout.unpack_queries(output).to(q.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        queries, key_rows, value_rows, output, all_weights, idle, keep = ctx.saved_tensors
        layout: _Layout = ctx.layout
        with torch.autocast(grad.device.type, enabled=False):
            d_output = layout.pack_queries(grad)  # [N, shared · size, Kv]
            if idle is not None:
                d_output.masked_fill_(idle, 0.0)
            # Softmax's backward needs each row's sum of weight · gradient, which is that of output · gradient.
            correction = torch.linalg.vecdot(d_output, output).unsqueeze(-1)  # [N, shared · size, 1]
            keys, values = layout.windows(key_rows), layout.windows(value_rows)
            d_queries = torch.empty_like(queries)
            d_key_rows, d_value_rows = torch.zeros_like(key_rows), torch.zeros_like(value_rows)
            n, parts = layout.chunks(grad.device)
            all_scores = queries.new_empty(n, queries.shape[1], layout.window)
            weights_again = torch.empty_like(all_scores) if all_weights is None else None
            for chunk in parts:
                scores = all_scores[: chunk.stop - chunk.start]
                if weights_again is None:
                    weights = all_weights[chunk]
                else:
                    weights = weights_again[: chunk.stop - chunk.start]
                    _weigh(queries[chunk], keys[chunk], ctx.scale, ctx.hiding, chunk, scores, weights)
                d_scores = torch.bmm(d_output[chunk], values[chunk].transpose(1, 2), out=scores)
                dropped = weights
                if keep is not None:
                    d_scores.mul_(keep[chunk]).mul_(ctx.keep_scale)
                    dropped = (weights * keep[chunk]).mul_(ctx.keep_scale)
                for columns, d_values in layout.pieces(d_value_rows):
                    d_values[chunk].baddbmm_(dropped[..., columns].transpose(1, 2), d_output[chunk])
                d_scores.sub_(correction[chunk]).mul_(weights)
                d_q = d_queries[chunk]
                torch.baddbmm(d_q, d_scores, keys[chunk], beta=0, alpha=ctx.scale, out=d_q)
                for columns, d_keys in layout.pieces(d_key_rows):
                    d_keys[chunk].baddbmm_(
                        d_scores[..., columns].transpose(1, 2), queries[chunk], alpha=ctx.scale
                    )
            d_q = layout.unpack_queries(d_queries).to(ctx.dtype)
            d_k, d_v = (layout.unpack_keys(rows).to(ctx.dtype) for rows in (d_key_rows, d_value_rows))
        return d_q, d_k, d_v, None, None, None


def _weigh(
    queries: Tensor, keys: Tensor, scale: float, hiding: _Hiding, chunk: slice, scores: Tensor, weights: Tensor
) -> None:
    """Fills masked scores and their softmax, both [n, shared · size, window]."""
    torch.baddbmm(scores, queries, keys.transpose(1, 2), beta=0, alpha=scale, out=scores)
    hiding.apply(scores, chunk)
    torch.softmax(scores, dim=-1, out=weights)

