"""Linear attention: a kernel of features in place of the softmax, at a cost linear in the length."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from registry import Spec
from zoo.components.heads import Heads, HeadsSpec, Projection, fold, has_hook, join, unfold
from zoo.costs import Cost, Mixing, Order
from zoo.kernels.cache import KeyValueCache, MemoryCache
from zoo.kernels.linear_attention import CHUNK, attend_linearly
from zoo.kinds import ATTENTION, Position
from zoo.masks import Mask
from zoo.sizes import Batch


class LinearAttentionSpec(HeadsSpec):
    type: Literal["linear"] = "linear"
    reads: ClassVar[tuple[str, ...]] = ()

    def check(self, *, d_model: int, role: str, position: Spec | None) -> None:
        super().check(d_model=d_model, role=role, position=position)
        if has_hook(position, "rotate") or has_hook(position, "bias"):
            raise ValueError(
                f"linear attention has no scores that {getattr(position, 'type', '')} positions could turn or bias: "
                "use positions that add to the embeddings, such as sinusoidal or learned"
            )

    def n_parameters(self, *, d_model: int) -> int:
        return self.n_projected(d_model)

    def n_kept(self, *, d_model: int, role: str, position: Spec | None, batch: Batch) -> int:
        d_k, _ = self.head_sizes(d_model)
        features = 4 * batch.n_tokens * self.n_heads * d_k  # of q and k
        return self.n_kept_with(d_model, role, position, batch) + features

    def cost(self, *, d_model: int, role: str, position: Spec | None, batch: Batch) -> Cost:
        d_k, d_v = self.head_sizes(d_model)
        T, S, wide = batch.length, batch.n_keys, d_v + 1  # with the sum of the weights
        if role == "causal":
            size = min(T, CHUNK)
            own = -(-T // size) * size * (size * (d_k + wide) + 2 * d_k * wide)
        else:
            own = min(T * S * (d_k + wide), (T + S) * d_k * wide)
        sums = 2 * batch.n_rows * self.n_heads * own
        return self.attended(
            d_model,
            role,
            position,
            batch,
            n_seen=0,
            further=sums,
            formula=" + 4·T·H·K·(Kv + 1)",
            mixing=Mixing(Order("n·d²/h", "1", "1", "Katharopoulos et al. 2020, section 3.2")),
        )


@ATTENTION.register(
    "linear",
    spec=LinearAttentionSpec,
    examples=[{"n_heads": 3}, {"n_heads": 2, "d_k": 5, "d_v": 7, "bias": True}],
)
class LinearAttention(Heads):
    """φ(q) (φ(k)ᵀ v) over φ(q) Σ φ(k), with φ(x) = elu(x) + 1: O(T·D·K) time, and no [T, S] anywhere.

    Source: Katharopoulos et al. 2020 (2006.16236), equations 5 to 7 and, causal, 8 to 12.
    Differs: a causal one works in chunks of 64 rather than token by token; a cache keeps all keys and values instead
        of the paper's state of constant size, so a step costs O(S·D).
    Shapes: query [B, T, D], memory [B, S, D] or None for self-attention -> [B, T, D].
        With a MemoryCache query may be [B·n, T, D], n rows a sentence.
    Raises: ValueError for a mask with a radius or documents.
    """

    def __init__(
        self,
        *,
        d_model: int,
        n_heads: int,
        d_k: int | None,
        d_v: int | None,
        bias: bool | tuple[Projection, ...],
    ) -> None:
        super().__init__(d_model=d_model, n_heads=n_heads, n_kv_heads=None, d_k=d_k, d_v=d_v, bias=bias)

    def forward(
        self,
        query: Tensor,
        memory: Tensor | None = None,
        *,
        mask: Mask,
        position: Position | None,
        cache: KeyValueCache | MemoryCache | None,
    ) -> Tensor:
        q, k, v = self.project(query, memory, mask=mask, position=None, cache=cache)
        out = attend_linearly(_features(fold(q, k.shape[0])), _features(k), v, mask=mask)  # [B, H, T, Kv]
        return self.output(join(unfold(out, q.shape[0])))


def _features(x: Tensor) -> Tensor:
    """φ(x) = elu(x) + 1 = relu(x) + exp(min(x, 0)), which keeps its digits where φ is small."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    return F.relu(wide) + wide.clamp(max=0).exp()
