"""Attention with sinks: a learned score of each head takes a share of every query's weights, and gives nothing."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.components.heads import Heads, HeadsSpec, Projection, fold, join, unfold, windowed
from zoo.costs import Cost
from zoo.kernels.cache import KeyValueCache, MemoryCache
from zoo.kernels.common import without_autocast
from zoo.kernels.dropout import dropout as drop
from zoo.kernels.eager import shared_by_heads
from zoo.kernels.watching import seen
from zoo.kinds import ATTENTION, Position
from zoo.masks import Mask
from zoo.sizes import Batch


class SinkAttentionSpec(HeadsSpec):
    type: Literal["sink"] = "sink"
    reads: ClassVar[tuple[str, ...]] = ("rotate", "bias")
    n_kv_heads: int | None = Field(None, ge=1, le=1024)
    """Heads of keys and values, each shared by n_heads / n_kv_heads query heads; None: n_heads (1: multi-query)."""
    radius: int | None = Field(None, ge=0, le=1_000_000)
    """Positions seen on each side of a query, in tokens, in a causal stack only those before it; None: all."""
    scale: float | None = Field(None, gt=0, le=1e3)
    """What scores are multiplied by; None: 1/√d_k."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Probability of dropping an attention weight in training."""

    def check(self, *, d_model: int, role: str, position: Spec | None) -> None:
        super().check(d_model=d_model, role=role, position=position)
        if self.n_kv_heads is not None and self.n_heads % self.n_kv_heads:
            raise ValueError(f"n_kv_heads ({self.n_kv_heads}) must divide n_heads ({self.n_heads})")
        if role == "cross" and self.radius is not None:
            raise ValueError("a radius needs queries and keys on one axis: leave it out of cross-attention")

    def n_parameters(self, *, d_model: int) -> int:
        return self.n_projected(d_model, self.n_kv_heads) + self.n_heads

    def n_kept(self, *, d_model: int, role: str, position: Spec | None, batch: Batch) -> int:
        n_scores = (2.25 if self.dropout else 2) * batch.n_keys
        return self.n_kept_with(d_model, role, position, batch, n_kv_heads=self.n_kv_heads, n_scores=n_scores)

    def cost(self, *, d_model: int, role: str, position: Spec | None, batch: Batch) -> Cost:
        mixing = None if self.radius is None else windowed(batch.length, self.radius)
        return self.attended(d_model, role, position, batch, n_kv_heads=self.n_kv_heads, mixing=mixing)


@ATTENTION.register(
    "sink",
    spec=SinkAttentionSpec,
    examples=[{"n_heads": 3}, {"n_heads": 4, "n_kv_heads": 2, "d_k": 5, "d_v": 7, "bias": True, "radius": 2}],
)
class SinkAttention(Heads):
    """Softmax attention whose sums begin with exp(sink), a learned score of each head, in place of 0.

    So a head may attend to nothing, and a query without any key gives zeros. Computed by the formula, over all keys
    even where a radius is given: O(T·S) in time and memory.

    Source: gpt-oss (OpenAI 2025, 2508.10925), section 2.2; Xiao et al. 2024 (2309.17453), section 3.3, for the cause.
    Shapes: query [B, T, D], memory [B, S, D] or None for self-attention -> [B, T, D]; the sinks are [H].
        With a MemoryCache query may be [B·n, T, D], n rows a sentence.
    """

    def __init__(
        self,
        *,
        d_model: int,
        n_heads: int,
        n_kv_heads: int | None,
        d_k: int | None,
        d_v: int | None,
        bias: bool | tuple[Projection, ...],
        radius: int | None,
        scale: float | None,
        dropout: float,
    ) -> None:
        super().__init__(d_model=d_model, n_heads=n_heads, n_kv_heads=n_kv_heads, d_k=d_k, d_v=d_v, bias=bias)
        self.sinks = nn.Parameter(torch.zeros(n_heads))
        self.radius = radius
        self.scale = self.d_k**-0.5 if scale is None else scale
        self.dropout = dropout

    def forward(
        self,
        query: Tensor,
        memory: Tensor | None = None,
        *,
        mask: Mask,
        position: Position | None,
        cache: KeyValueCache | MemoryCache | None,
    ) -> Tensor:
        mask = mask if self.radius is None else mask.within(self.radius)
        q, k, v = self.project(query, memory, mask=mask, position=position, cache=cache)
        bias = None if position is None else position.bias(q, k, scale=self.scale, mask=mask)
        with without_autocast(q.device):
            out = self._attend(fold(q, k.shape[0]), k, v, mask=mask, bias=bias)  # [B, H, T, Kv]
        return self.output(join(unfold(out, query.shape[0])))

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, *, mask: Mask, bias: Tensor | None) -> Tensor:
        (B, H, T, _), S = q.shape, k.shape[2]
        dtype, wide = q.dtype, torch.promote_types(q.dtype, torch.float32)
        k, v = (shared_by_heads(x.to(wide), H) for x in (k, v))  # [B, H, S, K]
        scores = q.to(wide) @ k.transpose(-2, -1) * self.scale  # [B, H, T, S]
        if bias is not None:
            scores = scores + bias
        allowed = mask.dense(T, S, q.device)
        if allowed is not None:
            scores = scores.masked_fill(~allowed, torch.finfo(wide).min)
        sinks = self.sinks.to(wide).view(1, H, 1, 1).expand(B, H, T, 1)
        weights = seen(torch.cat([scores, sinks], dim=-1).softmax(dim=-1)[..., :S])
        return (drop(weights, self.dropout, training=self.training) @ v).to(dtype)
