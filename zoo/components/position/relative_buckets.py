"""T5's positions: a learned bias per head for each bucket of distances, exact when near and logarithmic when far."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from zoo.components.distances import n_changes
from zoo.costs import NO_PRODUCTS, Cost
from zoo.kinds import POSITION, Position, PositionSpec
from zoo.masks import Mask
from zoo.sizes import Batch


class RelativeBucketsSpec(PositionSpec):
    type: Literal["relative_buckets"] = "relative_buckets"
    is_per_head: ClassVar[bool] = True
    n_buckets: int = Field(32, ge=2, le=1_000_000)
    """Distances told apart; where a token sees both sides, half of them for each side."""
    max_distance: int = Field(128, ge=2, le=100_000_000)
    """From this distance on, in tokens, all share the last bucket."""

    def check(self, *, d_model: int, n_heads: int, d_k: int, role: str) -> None:
        n_exact = (self.n_buckets if role == "causal" else self.n_buckets // 2) // 2
        if n_exact < 1:
            raise ValueError(f"n_buckets ({self.n_buckets}) must be at least 4 where a token sees both sides")
        if self.max_distance <= n_exact:
            raise ValueError(
                f"max_distance ({self.max_distance}) must be above {n_exact}, "
                f"the distances that have a bucket of their own with n_buckets ({self.n_buckets})"
            )

    def n_parameters(self, *, d_model: int, n_heads: int) -> int:
        return self.n_buckets * n_heads

    def n_kept(self, *, d_model: int, n_heads: int, batch: Batch) -> int:
        return 2 * batch.length**2  # the places of the distances, int64

    def cost(self, *, d_model: int, n_heads: int, batch: Batch) -> Cost:
        return NO_PRODUCTS

    def bias_flops(self, *, n_heads: int, d_k: int, batch: Batch) -> int:
        return 0


@POSITION.register(
    "relative_buckets",
    spec=RelativeBucketsSpec,
    examples=[{}, {"n_buckets": 6, "max_distance": 5}],
)
class RelativeBuckets(Position):
    """Adds to each score a learned number that depends on the head and on the bucket of the distance.

    Under a causal mask all buckets are for keys before the query; otherwise half of them are for keys after it.
    The first half of a side's buckets hold one distance each, the others logarithmically more up to max_distance.

    Source: Raffel et al. 2020, section 2.1; the borders of the buckets by their code.
    Shapes: bias q [B, H, T, K], k [B, G, S, K] -> [B or 1, H, T, S]; the table is [n_buckets, H].
    """

    def __init__(self, *, d_model: int, n_heads: int, n_buckets: int, max_distance: int) -> None:
        super().__init__()
        self.n_buckets = n_buckets
        self.max_distance = max_distance
        self.table = nn.Embedding(n_buckets, n_heads)

    def bias(self, q: Tensor, k: Tensor, *, scale: float, mask: Mask) -> Tensor:
        T, S, table = q.shape[2], k.shape[2], self.table.weight

        def make() -> Tensor:
            if mask.positions is not None:
                buckets = self.buckets(mask.distances(T, S, q.device)[:, 0], is_causal=mask.causal)
                return self.table(buckets).to(q.dtype).movedim(3, 1)  # [B, H, T, S]
            queries, keys = mask.query_places(T, q.device), mask.key_places(S, q.device)
            first = -(mask.offset + T - 1)  # from the last query to key 0
            distances = torch.arange(first, S - mask.offset, device=q.device)  # all there are: [T + S - 1]
            values = self.table(self.buckets(distances, is_causal=mask.causal)).to(q.dtype)  # [T + S - 1, H]
            places = (keys - queries[:, None] - first).flatten()  # [T·S]
            # Each distance is looked up once, then spread: a look-up for each score is far slower, above all backward.
            return values.t().index_select(1, places).view(1, -1, T, S)

        return mask.once((self, T, S, q.dtype, q.device, torch.is_grad_enabled(), n_changes(table)), make)

    def buckets(self, distances: Tensor, *, is_causal: bool) -> Tensor:
        """The bucket of each distance, key's position minus query's: int64 of the same shape."""
        n = self.n_buckets if is_causal else self.n_buckets // 2
        if is_causal:
            side, far = torch.zeros_like(distances), (-distances).clamp(min=0)
        else:
            side, far = (distances > 0) * n, distances.abs()
        n_exact = n // 2
        powers = torch.log(far.clamp(min=1).float() / n_exact) / math.log(self.max_distance / n_exact)
        shared = n_exact + (powers * (n - n_exact)).long()
        return side + torch.where(far < n_exact, far, shared.clamp(max=n - 1))
