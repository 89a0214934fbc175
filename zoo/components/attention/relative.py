"""Relative attention: keys and values have a learned vector for their distance from the query added."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.components.distances import Radius, check_radius, clipped_distances, n_distances
from zoo.components.heads import Heads, HeadsSpec, Projection, check_one_axis, join
from zoo.costs import Cost, product
from zoo.kernels.cache import KeyValueCache, MemoryCache
from zoo.kernels.common import without_autocast
from zoo.kernels.dropout import dropout as drop
from zoo.kernels.eager import masked_softmax
from zoo.kernels.watching import seen
from zoo.kinds import ATTENTION, Position
from zoo.masks import Mask
from zoo.sizes import Batch


class RelativeAttentionSpec(HeadsSpec):
    type: Literal["relative"] = "relative"
    reads: ClassVar[tuple[str, ...]] = ("rotate", "bias")
    expected_failures: ClassVar[Mapping[str, str]] = {
        "keys_turn_by_the_hook_of_keys": "queries as positions turn them meet the vectors of distances too",
    }
    radius: Radius = 16
    """Distances told apart, in tokens, of keys before and after the query: [before, after], or one number for both,
    the paper's k; all farther ones count as this. In a causal stack none come after: [16, 0] has no vectors for them.
    """
    scale: float | None = Field(None, gt=0, le=1e3)
    """What scores are multiplied by; None: 1/√d_k."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Probability of dropping an attention weight in training: the paper drops none."""

    def check(self, *, d_model: int, role: str, position: Spec | None) -> None:
        super().check(d_model=d_model, role=role, position=position)
        check_one_axis(role, "relative")
        check_radius(self.radius, role=role)

    def n_parameters(self, *, d_model: int) -> int:
        return self.n_projected(d_model) + n_distances(self.radius) * sum(self.head_sizes(d_model))

    def n_kept(self, *, d_model: int, role: str, position: Spec | None, batch: Batch) -> int:
        by_distance = 2 * n_distances(self.radius)
        return self.n_kept_with(d_model, role, position, batch, n_scores=3 * batch.length + by_distance)

    def cost(self, *, d_model: int, role: str, position: Spec | None, batch: Batch) -> Cost:
        n_rows = n_distances(self.radius)
        tables = product(batch.n_tokens * self.n_heads, n_rows, sum(self.head_sizes(d_model)))
        return self.attended(d_model, role, position, batch, further=tables, formula=" + 2·T·P·H·(K + Kv)")


@ATTENTION.register(
    "relative",
    spec=RelativeAttentionSpec,
    examples=[
        {"n_heads": 3, "radius": 2},
        {"n_heads": 2, "d_k": 5, "d_v": 7, "radius": 40, "bias": True},
        {"n_heads": 3, "radius": [3, 0]},
    ],
)
class RelativeAttention(Heads):
    """Multi-head self-attention whose keys are k + a_K and values v + a_V, the a's learned for each distance.

    The vectors are this layer's own and shared by its heads. None is copied for each pair of tokens: queries meet all P
    of them, before + 1 + after, and weights of equal distance are summed before they meet theirs, so beside attention
    itself this takes O(T·S + P·T·K). For the term of the keys alone there are the positions named shaw.

    Source: Shaw et al. 2018 (1803.02155), equations 1 to 5.
    Differs: equal distances are gathered and summed, where section 3.3 reshapes tensors of each pair.
    Shapes: query [B, T, D] -> [B, T, D]; the tables are [P, K] and [P, Kv].
    """

    def __init__(
        self,
        *,
        d_model: int,
        n_heads: int,
        d_k: int | None,
        d_v: int | None,
        bias: bool | tuple[Projection, ...],
        radius: Radius,
        scale: float | None,
        dropout: float,
    ) -> None:
        super().__init__(d_model=d_model, n_heads=n_heads, n_kv_heads=None, d_k=d_k, d_v=d_v, bias=bias)
        self.radius = radius
        self.key_table = nn.Embedding(n_distances(radius), self.d_k)
        self.value_table = nn.Embedding(n_distances(radius), self.d_v)
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
        q, k, v = self.project(query, memory, mask=mask, position=position, cache=cache)
        bias = None if position is None else position.bias(q, k, scale=self.scale, mask=mask)
        with without_autocast(q.device):
            out = self._attend(q, k, v, mask=mask, bias=bias)  # [B, H, T, Kv]
        return self.output(join(out))

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, *, mask: Mask, bias: Tensor | None) -> Tensor:
        (B, H, T, _), S = q.shape, k.shape[2]
        dtype, wide = q.dtype, torch.promote_types(q.dtype, torch.float32)
        q, k, v = (x.to(wide) for x in (q, k, v))
        key_table, value_table = (x.weight.to(wide) for x in (self.key_table, self.value_table))
        distances = clipped_distances(mask, T, S, self.radius, q.device).expand(B, H, T, S)
        by_distance = q @ key_table.T  # [B, H, T, P]
        scores = (q @ k.transpose(-2, -1) + by_distance.gather(3, distances)) * self.scale  # [B, H, T, S]
        if bias is not None:
            scores = scores + bias
        weights = seen(masked_softmax(scores, mask.dense(T, S, q.device)))
        weights = drop(weights, self.dropout, training=self.training)
        sums = torch.zeros_like(by_distance).scatter_add(3, distances, weights)  # [B, H, T, P]
        return (weights @ v + sums @ value_table).to(dtype)
