"""Shaw's relative positions: queries also meet a learned vector of each distance."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from zoo.components.distances import Radius, check_radius, clipped_distances, n_distances
from zoo.costs import NO_PRODUCTS, Cost, product
from zoo.kernels.linear import linear
from zoo.kinds import POSITION, Position, PositionSpec
from zoo.masks import Mask
from zoo.sizes import Batch


class ShawSpec(PositionSpec):
    type: Literal["shaw"] = "shaw"
    is_per_head: ClassVar[bool] = True
    radius: Radius = 16
    """Distances told apart, in tokens, of keys before and after the query: [before, after], or one number for both;
    all farther ones count as this. In a causal stack none come after: [16, 0] has no vectors for them."""
    d_k: int | None = Field(None, ge=1, le=65536)
    """Size of a query per head, as the attention has it; None: d_model / n_heads."""

    def check(self, *, d_model: int, n_heads: int, d_k: int, role: str) -> None:
        check_radius(self.radius, role=role)
        own = self.d_k or d_model // n_heads
        if own != d_k:
            given = "" if self.d_k else f"; give shaw the field d_k: {d_k}"
            raise ValueError(f"vectors of size {own} cannot meet queries of the head size d_k ({d_k}){given}")

    def n_parameters(self, *, d_model: int, n_heads: int) -> int:
        return n_distances(self.radius) * (self.d_k or d_model // n_heads)

    def n_kept(self, *, d_model: int, n_heads: int, batch: Batch) -> int:
        return 2 * batch.length**2  # the places of the distances, int64

    def cost(self, *, d_model: int, n_heads: int, batch: Batch) -> Cost:
        return NO_PRODUCTS

    def bias_flops(self, *, n_heads: int, d_k: int, batch: Batch) -> int:
        return product(batch.n_tokens * n_heads, d_k, n_distances(self.radius))


@POSITION.register(
    "shaw", spec=ShawSpec, examples=[{"radius": 3}, {"radius": 0, "d_k": 4}, {"radius": [2, 0]}]
)
class Shaw(Position):
    """Adds q·a·scale to a score, a the learned vector of the distance from query to key, clipped to the radius.

    All heads share the vectors.

    Source: Shaw et al. 2018, equations 2, 4 and 5, by the products of section 3.3.
    Differs: has the term of the keys only; the paper's Table 3 finds nothing lost without that of the values.
    Shapes: bias q [B, H, T, K], k [B, G, S, K] -> [B, H, T, S]; the table is [before + 1 + after, K].
    """

    def __init__(self, *, d_model: int, n_heads: int, radius: Radius, d_k: int | None) -> None:
        super().__init__()
        self.radius = radius
        self.table = nn.Embedding(n_distances(radius), d_k or d_model // n_heads)

    def bias(self, q: Tensor, k: Tensor, *, scale: float, mask: Mask) -> Tensor:
        (B, H, T, _), S = q.shape, k.shape[2]

        rows = clipped_distances(mask, T, S, self.radius, q.device)
        products = linear(q, self.table.weight) * scale  # [B, H, T, distances]
        return products.gather(3, rows.expand(B, H, T, S))
