"""Multi-head attention, with free head sizes and, where asked, fewer key heads than query heads."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.components.heads import FLEX_KEYS, Heads, HeadsSpec, Projection, fold, join, unfold
from zoo.costs import Cost
from zoo.kernels.attention import attend
from zoo.kernels.cache import KeyValueCache, MemoryCache
from zoo.kinds import ATTENTION, NORM, Position
from zoo.masks import Mask
from zoo.sizes import Batch, dividing, n_kept, n_parameters

Share = Literal["head", "each_head", "all"]
Kernel = Literal["auto", "eager", "matmul", "sdpa", "blocked", "flex"]


class MultiHeadSpec(HeadsSpec):
    """Fields shared by the softmax attentions over dot products."""

    n_kv_heads: int | None = Field(None, ge=1, le=1024)
    """Heads of keys and values, each shared by n_heads / n_kv_heads query heads; None: n_heads (1: multi-query)."""
    qk_norm: Annotated[Spec | None, NORM] = None
    """A norm of queries, and one of keys, before positions turn them; None: neither."""
    qk_norm_over: Share = "head"
    """What it is over: each head, by one norm for all (Qwen3); each head, by a norm of its own (Command R+, StableLM
    12B); or all heads together (OLMo 2)."""
    scale: float | None = Field(None, gt=0, le=1e3)
    """What scores are multiplied by; None: 1/√d_k."""
    soft_cap: float | None = Field(None, gt=0, le=1e6)
    """c keeps scaled scores within ±c by c·tanh(score/c), before bias and mask; None leaves them."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Probability of dropping an attention weight in training: the paper drops none."""
    kernel: Kernel = "auto"
    """Which kernel computes it; auto picks by mask, shape, dtype and device."""

    def check(self, *, d_model: int, role: str, position: Spec | None) -> None:
        super().check(d_model=d_model, role=role, position=position)
        if self.n_kv_heads is not None and self.n_heads % self.n_kv_heads:
            some = dividing(self.n_kv_heads, self.n_heads)
            raise ValueError(f"n_kv_heads ({self.n_kv_heads}) must divide n_heads ({self.n_heads}), {some}")
        if self.soft_cap is not None and self.kernel == "sdpa":
            raise ValueError("the sdpa kernel caps no scores: leave kernel at auto, or soft_cap out")

        if self.qk_norm is None and self.qk_norm_over != "head":
            raise ValueError(f"qk_norm_over is given ({self.qk_norm_over}), but no qk_norm")

    def contexts(self, *, d_model: int, **rest: Any) -> dict[str, dict[str, Any]]:
        return {"qk_norm": {"d_model": self.norm_shape(d_model, self.n_heads)[1]}}

    def norm_shape(self, d_model: int, n_heads: int) -> tuple[int, int]:
        """How many norms so many heads have, and the width of each."""
        d_k = self.head_sizes(d_model)[0]
        if self.qk_norm_over == "all":
            return 1, n_heads * d_k
        return (n_heads if self.qk_norm_over == "each_head" else 1), d_k

    def n_in_heads(self, d_model: int) -> int:
        """The parameters of the projections and of the norms of queries and keys."""
        found = self.n_projected(d_model, self.n_kv_heads)
        if self.qk_norm is not None:
            for n_heads in (self.n_heads, self.n_kv_heads or self.n_heads):
                n_norms, width = self.norm_shape(d_model, n_heads)
                found += n_norms * n_parameters(NORM, self.qk_norm, d_model=width)
        return found

    def n_kept_of(
        self, d_model: int, role: str, position: Spec | None, batch: Batch, *, window: int | None = None
    ) -> int:
        """What is kept where a query sees all keys, or those of a window of so many positions."""
        is_capped_whole = self.soft_cap is not None and (batch.is_on_cpu or batch.n_keys < FLEX_KEYS)
        n_scores = self.n_weights_kept(
            d_model,
            position,
            batch,
            window=window,
            dropout=self.dropout,
            keeps_all=self.kernel in ("eager", "matmul") or is_capped_whole,
        )
        kept = self.n_kept_with(d_model, role, position, batch, n_kv_heads=self.n_kv_heads, n_scores=n_scores)
        if self.qk_norm is not None:
            for n_heads in (self.n_heads, self.n_kv_heads or self.n_heads):
                width = self.norm_shape(d_model, n_heads)[1]
                n_normed = batch.n_tokens * n_heads * self.head_sizes(d_model)[0] // width
                kept += n_kept(NORM, self.qk_norm, d_model=width, batch=replace(batch, n_tokens=n_normed))
        return kept


class MultiHeadAttentionSpec(MultiHeadSpec):
    type: Literal["multi_head"] = "multi_head"
    reads: ClassVar[tuple[str, ...]] = ("rotate", "bias")

    def n_parameters(self, *, d_model: int) -> int:
        return self.n_in_heads(d_model)

    def n_kept(self, *, d_model: int, role: str, position: Spec | None, batch: Batch) -> int:
        return self.n_kept_of(d_model, role, position, batch)

    def cost(self, *, d_model: int, role: str, position: Spec | None, batch: Batch) -> Cost:
        return self.attended(d_model, role, position, batch, n_kv_heads=self.n_kv_heads)


@ATTENTION.register(
    "multi_head",
    spec=MultiHeadAttentionSpec,
    examples=[
        {"n_heads": 3},
        {"n_heads": 1, "bias": ("query", "value", "output")},
        {"n_heads": 6, "n_kv_heads": 2, "bias": True, "qk_norm": "rms_norm"},
        {"n_heads": 4, "n_kv_heads": 2, "qk_norm": "rms_norm", "qk_norm_over": "all"},
        {"n_heads": 2, "qk_norm": "layer_norm", "qk_norm_over": "each_head"},
        {"n_heads": 4, "n_kv_heads": 1, "d_k": 5, "d_v": 7, "scale": 1.0, "soft_cap": 0.9},
    ],
)
class MultiHeadAttention(Heads):
    """Scaled dot-product attention in several heads: softmax(q kᵀ · scale + bias) v, projected back to D.

    Source: Vaswani et al. 2017, section 3.2.2; fewer key heads: Shazeer 2019 (one), Ainslie et al. 2023 (groups);
        norms of queries and keys: Henry et al. 2020, here with learned gains;
        capped scores: Gemma 2 (2408.00118), section 2.
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
        bias: bool | tuple[Projection, ...],
        qk_norm: Spec | None,
        qk_norm_over: Share,
        scale: float | None,
        soft_cap: float | None,
        dropout: float,
        kernel: Kernel,
    ) -> None:
        super().__init__(d_model=d_model, n_heads=n_heads, n_kv_heads=n_kv_heads, d_k=d_k, d_v=d_v, bias=bias)
        self.query_norm = None if qk_norm is None else _made(qk_norm, self.n_heads, self.d_k, qk_norm_over)
        self.key_norm = None if qk_norm is None else _made(qk_norm, self.n_kv_heads, self.d_k, qk_norm_over)
        self.qk_norm_over = qk_norm_over
        self.scale = self.d_k**-0.5 if scale is None else scale
        self.soft_cap = soft_cap
        self.dropout = dropout
        self.kernel = kernel

    def forward(
        self,
        query: Tensor,
        memory: Tensor | None = None,
        *,
        mask: Mask,
        position: Position | None,
        cache: KeyValueCache | MemoryCache | None,
    ) -> Tensor:
        q, k, v = self.project(query, memory, mask=mask, position=position, cache=cache)
        bias = None if position is None else position.bias(q, k, scale=self.scale, mask=mask)
        out = attend(
            fold(q, k.shape[0]),
            k,
            v,
            mask=self.narrowed(mask, k),
            scale=self.scale,
            bias=bias,
            dropout=self.dropout if self.training else 0.0,
            soft_cap=self.soft_cap,
            kernel=self.kernel,
        )  # [B, H, T, Kv]
        return self.output(join(unfold(out, q.shape[0])))

    def narrowed(self, mask: Mask, k: Tensor) -> Mask:
        """What queries see of the keys k [B, G, S, K]; positions are told by the mask as it was."""
        return mask

    def norm_queries(self, q: Tensor) -> Tensor:
        return q if self.query_norm is None else _normed(self.query_norm, q, self.qk_norm_over)

    def norm_keys(self, k: Tensor) -> Tensor:
        return k if self.key_norm is None else _normed(self.key_norm, k, self.qk_norm_over)


def _made(norm: Spec, n_heads: int, d_k: int, over: Share) -> nn.Module:
    if over == "each_head":
        return nn.ModuleList(NORM.build(norm, d_model=d_k) for _ in range(n_heads))
    made: nn.Module = NORM.build(norm, d_model=n_heads * d_k if over == "all" else d_k)
    return made


def _normed(norm: nn.Module, x: Tensor, over: Share) -> Tensor:
    if isinstance(norm, nn.ModuleList):
        return torch.stack([own(head) for own, head in zip(norm, x.unbind(1), strict=True)], dim=1)
    B, H, T, K = x.shape
    rows = (B, T, H * K) if over == "all" else (B, T * H, K)  # a norm takes [B, T, D]
    normed = norm(x.transpose(1, 2).reshape(rows))
    return normed.view(B, T, H, K).transpose(1, 2)
