"""Shaw's relative positions: queries also meet a learned vector of each distance."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from zoo.costs import NO_PRODUCTS, Cost, product
from zoo.kernels.linear import linear
from zoo.kinds import POSITION, Position, PositionSpec
from zoo.masks import Mask
from zoo.sizes import Batch


class ShawSpec(PositionSpec):
    type: Literal["shaw"] = "shaw"
    is_per_head: ClassVar[bool] = True
    radius: int = Field(16, ge=0, le=1_000_000)
    """Distances told apart on each side, in tokens; all farther ones count as this."""
    d_k: int | None = Field(None, ge=1, le=65536)
    """Size of a query per head, as the attention has it; None: d_model / n_heads."""

    def check(self, *, d_model: int, n_heads: int, d_k: int, role: str) -> None:
        own = self.d_k or d_model // n_heads
        if own != d_k:
            given = "" if self.d_k else f"; give shaw the field d_k: {d_k}"
            raise ValueError(f"vectors of size {own} cannot meet queries of the head size d_k ({d_k}){given}")

    def n_parameters(self, *, d_model: int, n_heads: int) -> int:
        return (2 * self.radius + 1) * (self.d_k or d_model // n_heads)

    def n_kept(self, *, d_model: int, n_heads: int, batch: Batch) -> int:
        return 2 * batch.length**2  # the places of the distances, int64

    def cost(self, *, d_model: int, n_heads: int, batch: Batch) -> Cost:
        return NO_PRODUCTS

    def bias_flops(self, *, n_heads: int, d_k: int, batch: Batch) -> int:
        return product(batch.n_tokens * n_heads, d_k, 2 * self.radius + 1)


@POSITION.register("shaw", spec=ShawSpec, examples=[{"radius": 3}, {"radius": 0, "d_k": 4}])
class Shaw(Position):
    """Adds q·a·scale to a score, a the learned vector of the distance from query to key, clipped to the radius.

    All heads share the vectors.

    Source: Shaw et al. 2018, equations 2, 4 and 5, by the products of section 3.3.
    Differs: has the term of the keys only; the paper's Table 3 finds nothing lost without that of the values.
    Shapes: bias q [B, H, T, K], k [B, G, S, K] -> [B, H, T, S]; the table is [2·radius + 1, K].
    """

    def __init__(self, *, d_model: int, n_heads: int, radius: int, d_k: int | None) -> None:
        super().__init__()
        self.radius = radius
        self.table = nn.Embedding(2 * radius + 1, d_k or d_model // n_heads)

    def bias(self, q: Tensor, k: Tensor, *, scale: float, mask: Mask) -> Tensor:
        (B, H, T, _), S = q.shape, k.shape[2]

        def make() -> Tensor:
            distances = mask.key_positions(S, q.device) - mask.query_positions(T, q.device)[:, None]  # [T, S]
            return distances.clamp(-self.radius, self.radius) + self.radius

        rows = mask.once((self, T, S, q.device), make)
        products = linear(q, self.table.weight) * scale  # [B, H, T, 2·radius + 1]
        return products.gather(3, rows.expand(B, H, T, S))
