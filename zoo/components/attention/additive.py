"""Additive attention: a small network scores each pair of query and key, as before the Transformer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.components.heads import Heads, HeadsSpec, Projection, fold, has_hook, join, unfold
from zoo.costs import Cost
from zoo.kernels.additive import additive_scores
from zoo.kernels.cache import KeyValueCache, MemoryCache
from zoo.kernels.dropout import dropout as drop
from zoo.kernels.eager import masked_softmax
from zoo.kernels.watching import seen
from zoo.kinds import ATTENTION, Position
from zoo.masks import Mask
from zoo.sizes import Batch


class AdditiveAttentionSpec(HeadsSpec):
    type: Literal["additive"] = "additive"
    reads: ClassVar[tuple[str, ...]] = ("bias",)
    expected_failures: ClassVar[Mapping[str, str]] = {
        "it_compiles_as_one_graph": "its sums go by chunks of their own, outside of graphs",
    }
    n_heads: int = Field(1, ge=1, le=1024)
    """Parallel heads, each with a network of its own; the paper has one."""
    d_k: int | None = Field(None, ge=1, le=65536)
    """Hidden units of each head's network; None: d_model / n_heads."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Probability of dropping an attention weight in training: the paper drops none."""

    def check(self, *, d_model: int, role: str, position: Spec | None) -> None:
        super().check(d_model=d_model, role=role, position=position)
        if has_hook(position, "rotate"):
            raise ValueError(
                "additive attention adds queries and keys, so turning both by "
                f"{getattr(position, 'type', '')} positions tells no distance: use positions that add to the "
                "embeddings (sinusoidal, learned) or bias the scores (relative_buckets, alibi)"
            )

    def n_parameters(self, *, d_model: int) -> int:
        return self.n_projected(d_model) + self.n_heads * self.head_sizes(d_model)[0]

    def n_kept(self, *, d_model: int, role: str, position: Spec | None, batch: Batch) -> int:
        masked = 1.25 if role == "causal" else 0.0  # the masked scores, and which are allowed
        return self.n_kept_with(d_model, role, position, batch, n_scores=(1 + masked) * batch.n_keys)

    def cost(self, *, d_model: int, role: str, position: Spec | None, batch: Batch) -> Cost:
        return self.attended(d_model, role, position, batch)


@ATTENTION.register(
    "additive",
    spec=AdditiveAttentionSpec,
    examples=[{}, {"n_heads": 3, "d_k": 5, "d_v": 7, "bias": ("query", "output")}],
)
class AdditiveAttention(Heads):
    """softmax(energy · tanh(q + k) + bias) v, projected back to D; q and k are the network's two first maps.

    Source: Bahdanau et al. 2015 (1409.0473), section 3.1 and A.1.2; compared with dot products by Vaswani et al. 2017,
        section 3.2.1.
    Differs: values are projected, and heads projected back, as in multi-head attention, so that only scores differ.
    Shapes: query [B, T, D], memory [B, S, D] or None for self-attention -> [B, T, D].
        With a MemoryCache query may be [B·n, T, D], n rows a sentence.
    """

    def __init__(
        self,
        *,
        d_model: int,
        n_heads: int,
        d_k: int | None,
        d_v: int | None,
        bias: bool | tuple[Projection, ...],
        dropout: float,
    ) -> None:
        super().__init__(d_model=d_model, n_heads=n_heads, n_kv_heads=None, d_k=d_k, d_v=d_v, bias=bias)
        self.energy = nn.Parameter(torch.empty(n_heads, self.d_k))
        self.dropout = dropout
        self.draw_first_values()

    def draw_first_values(self) -> None:
        """See zoo.kinds.initialization."""
        bound = self.d_k**-0.5
        nn.init.uniform_(self.energy, -bound, bound)  # as torch sets a linear map to one number

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
        rows, q = q.shape[0], fold(q, k.shape[0])
        scores = additive_scores(q, k, self.energy)  # [B, H, T, S]
        bias = None if position is None else position.bias(q, k, scale=1.0, mask=mask)
        if bias is not None:
            scores = scores + bias
        weights = seen(masked_softmax(scores, mask.dense(q.shape[2], k.shape[2], q.device)))
        weights = drop(weights, self.dropout, training=self.training)
        out = (weights @ v.to(weights.dtype)).to(v.dtype)  # [B, H, T, Kv]
        return self.output(join(unfold(out, rows)))
