"""Multi-head attention, with free head sizes and, where asked, fewer key heads than query heads."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.kernels.attention import attend
from zoo.kernels.cache import KeyValueCache, MemoryCache
from zoo.kernels.linear import Linear
from zoo.kinds import ATTENTION, Position
from zoo.masks import Mask

Kernel = Literal["auto", "eager", "matmul", "sdpa", "blocked", "flex"]


class MultiHeadSpec(Spec):
    """Fields shared by the softmax attentions."""

    n_heads: int = Field(8, ge=1, le=1024)
    """Parallel heads."""
    n_kv_heads: int | None = Field(None, ge=1, le=1024)
    """Heads of keys and values, each shared by n_heads / n_kv_heads query heads; None: n_heads (1: multi-query)."""
    d_k: int | None = Field(None, ge=1, le=65536)
    """Size of a query and a key per head; None: d_model / n_heads."""
    d_v: int | None = Field(None, ge=1, le=65536)
    """Size of a value per head; None: d_k."""
    bias: bool = False
    """Whether the four projections add a bias: the paper's formulas have none."""
    scale: float | None = Field(None, gt=0, le=1e3)
    """What scores are multiplied by; None: 1/√d_k."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Probability of dropping an attention weight in training: the paper drops none."""
    kernel: Kernel = "auto"
    """Which kernel computes it; auto picks by mask, shape, dtype and device."""

    def check(self, *, d_model: int, role: str) -> None:
        if self.d_k is None and d_model % self.n_heads:
            raise ValueError(f"n_heads ({self.n_heads}) must divide d_model ({d_model}), or d_k be given")
        if self.n_kv_heads is not None and self.n_heads % self.n_kv_heads:
            raise ValueError(f"n_kv_heads ({self.n_kv_heads}) must divide n_heads ({self.n_heads})")


class MultiHeadAttentionSpec(MultiHeadSpec):
    type: Literal["multi_head"] = "multi_head"


@ATTENTION.register(
    "multi_head",
    spec=MultiHeadAttentionSpec,
    examples=[
        {"n_heads": 3},
        {"n_heads": 6, "n_kv_heads": 2, "bias": True},
        {"n_heads": 4, "n_kv_heads": 1, "d_k": 5, "d_v": 7, "scale": 1.0},
    ],
)
class MultiHeadAttention(nn.Module):
    """Scaled dot-product attention in several heads: softmax(q kᵀ · scale + bias) v, projected back to D.

    Source: Vaswani et al. 2017, section 3.2.2; fewer key heads: Shazeer 2019 (one), Ainslie et al. 2023 (groups).
    Shapes: query [B, T, D], memory [B, S, D] or None for self-attention -> [B, T, D].
        With a MemoryCache query may be [B·n, T, D], n rows a sentence: they share the sentence's keys and values.
    """

    def __init__(
        self,
        *,
        d_model: int,
        n_heads: int,
        n_kv_heads: int | None,
        d_k: int | None,
        d_v: int | None,
        bias: bool,
        scale: float | None,
        dropout: float,
        kernel: Kernel,
    ) -> None:
        super().__init__()
        d_k = d_k or d_model // n_heads
        d_v = d_v or d_k
        self.n_heads = n_heads
        self.n_kv_heads = n_kv_heads or n_heads
        self.scale = d_k**-0.5 if scale is None else scale
        self.dropout = dropout
        self.kernel = kernel
        self.query = Linear(d_model, n_heads * d_k, bias=bias)
        self.key = Linear(d_model, self.n_kv_heads * d_k, bias=bias)
        self.value = Linear(d_model, self.n_kv_heads * d_v, bias=bias)
        self.output = Linear(n_heads * d_v, d_model, bias=bias)

    def forward(
        self,
        query: Tensor,
        memory: Tensor | None = None,
        *,
        mask: Mask,
        position: Position | None,
        cache: KeyValueCache | MemoryCache | None,
    ) -> Tensor:
        q = self._split(self.query(query), self.n_heads)  # [B, H, T, K]
        if isinstance(cache, MemoryCache) and cache.keys is not None and cache.values is not None:
            k, v = cache.keys, cache.values
        else:
            source = query if memory is None else memory
            k = self._split(self.key(source), self.n_kv_heads)  # [B, G, S, K]
            v = self._split(self.value(source), self.n_kv_heads)
            if position is not None:
                T = query.shape[1]
                positions = mask.query_positions(T, query.device)
                q, k = position.rotate(q, positions), position.rotate(k, positions)
            if isinstance(cache, KeyValueCache):
                k, v = cache.append(k, v)
            elif cache is not None:
                cache.keys, cache.values = k, v
        bias = None
        if position is not None:
            T, S = q.shape[2], k.shape[2]
            bias = position.bias(mask.query_positions(T, q.device), mask.key_positions(S, q.device))
        n, T = q.shape[0], q.shape[2]
        if n != k.shape[0]:  # several rows a sentence, as in a beam search: they become more queries of it
            q = _fold(q, k.shape[0])
        dropout = self.dropout if self.training else 0.0
        out = attend(
            q, k, v, mask=mask, scale=self.scale, bias=bias, dropout=dropout, kernel=self.kernel
        )  # [B, H, T, Kv]
        if out.shape[0] != n:
            out = _unfold(out, n, T)
        return self.output(out.transpose(1, 2).flatten(2))

    @staticmethod
    def _split(x: Tensor, n_heads: int) -> Tensor:
        B, T, _ = x.shape
        return x.view(B, T, n_heads, -1).transpose(1, 2)  # [B, H, T, K]


def _fold(q: Tensor, n_sentences: int) -> Tensor:
    """[B·n, H, T, K] -> [B, H, n·T, K]."""
    rows, H, T, K = q.shape
    q = q.view(n_sentences, rows // n_sentences, H, T, K).transpose(1, 2)
    return q.reshape(n_sentences, H, -1, K)


def _unfold(out: Tensor, rows: int, T: int) -> Tensor:
    """[B, H, n·T, K] -> [B·n, H, T, K]."""
    B, H, _, K = out.shape
    return out.view(B, H, rows // B, T, K).transpose(1, 2).reshape(rows, H, T, K)
