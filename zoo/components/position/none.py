"""No positional encoding."""

from __future__ import annotations

from typing import Literal

from zoo.costs import NO_PRODUCTS, Cost
from zoo.kinds import POSITION, Position, PositionSpec
from zoo.sizes import Batch


class NoPositionSpec(PositionSpec):
    type: Literal["none"] = "none"

    def n_parameters(self, *, d_model: int, n_heads: int) -> int:
        return 0

    def n_kept(self, *, d_model: int, n_heads: int, batch: Batch) -> int:
        return 0

    def cost(self, *, d_model: int, n_heads: int, batch: Batch) -> Cost:
        return NO_PRODUCTS


@POSITION.register("none", spec=NoPositionSpec, examples=[{}])
class NoPosition(Position):
    """Leaves embeddings, queries, keys and scores as they are: a causal stack still knows order by its mask.

    Source: Kazemnejad et al. 2023.
    Shapes: embed x [B, T, D] -> [B, T, D].
    """

    def __init__(self, *, d_model: int, n_heads: int) -> None:
        super().__init__()
