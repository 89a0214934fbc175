"""BEiT's positions: a learned bias per head for each shift of rows and columns between two patches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from zoo.components.distances import n_changes
from zoo.costs import NO_PRODUCTS, Cost
from zoo.kinds import POSITION, Position, PositionSpec
from zoo.masks import Mask
from zoo.sizes import Batch


class Relative2DSpec(PositionSpec):
    type: Literal["relative_2d"] = "relative_2d"
    is_per_head: ClassVar[bool] = True
    expected_failures: ClassVar[Mapping[str, str]] = {
        "scores_depend_on_distance_alone": "places of a grid have two distances, and those of the prefix none",
    }
    height: int = Field(ge=1, le=1000)
    """Rows of the grid."""
    width: int = Field(ge=1, le=1000)
    """Columns of the grid."""
    n_prefix: int = Field(1, ge=0, le=100_000)
    """Tokens before the grid that have no place in it, such as a class token; they share three numbers a head."""

    @property
    def grid(self) -> tuple[int, int, int]:
        """The prefix, and the rows and columns after it."""
        return self.n_prefix, self.height, self.width

    @property
    def max_len(self) -> int:
        """Places of prefix and grid."""
        return self.n_prefix + self.height * self.width

    @property
    def n_shifts(self) -> int:
        """R: the shifts there are, and, where there is a prefix, three for it."""
        return _n_shifts(*self.grid)

    def n_parameters(self, *, d_model: int, n_heads: int) -> int:
        return self.n_shifts * n_heads

    def n_kept(self, *, d_model: int, n_heads: int, batch: Batch) -> int:
        return 2 * batch.length**2  # the places in the table, int64

    def cost(self, *, d_model: int, n_heads: int, batch: Batch) -> Cost:
        return NO_PRODUCTS

    def bias_flops(self, *, n_heads: int, d_k: int, batch: Batch) -> int:
        return 0


def _n_shifts(n_prefix: int, height: int, width: int) -> int:
    return (2 * height - 1) * (2 * width - 1) + (3 if n_prefix else 0)


@POSITION.register(
    "relative_2d",
    spec=Relative2DSpec,
    examples=[
        {"height": 3, "width": 4},
        {"height": 4, "width": 3, "n_prefix": 0},
        {"height": 2, "width": 5, "n_prefix": 3},
    ],
)
class Relative2D(Position):
    """Adds to each score a learned number that depends on the head and on the shift from key to query.

    A query y rows below and x columns right of its key has row (y + height - 1)·(2·width - 1) + x + width - 1 of the
    table. With a prefix three more follow: from it to the grid, from the grid to it, and within it.
    The grid is read row by row; a sequence may end before the grid does.

    Source: Bao et al. 2022 (BEiT), section 2.3, by their code; without a prefix Liu et al. 2021 (Swin), equation 4.
    Shapes: bias q [B, H, T, K], k [B, G, S, K] -> [1, H, T, S]; the table is [R, H], R the spec's `n_shifts`.
    Raises: ValueError for a sequence longer than n_prefix + height·width, for documents and for given positions.
    """

    def __init__(self, *, d_model: int, n_heads: int, height: int, width: int, n_prefix: int) -> None:
        super().__init__()
        self.height = height
        self.width = width
        self.n_prefix = n_prefix
        self.max_len = n_prefix + height * width
        self.table = nn.Embedding(_n_shifts(n_prefix, height, width), n_heads)

    def bias(self, q: Tensor, k: Tensor, *, scale: float, mask: Mask) -> Tensor:
        T, S, table = q.shape[2], k.shape[2], self.table.weight
        if mask.documents is not None:
            raise ValueError("shifts within a grid know no documents: give each image a row of its own")
        if mask.positions is not None:
            raise ValueError("shifts are those of a grid's places and take no positions given to a call")
        if self.max_len < S:
            raise ValueError(
                f"a sequence of {S} is longer than the {self.n_prefix} tokens of the prefix (n_prefix) and "
                f"the grid of {self.height} rows by {self.width} columns"
            )

        def make() -> Tensor:
            rows = mask.once((self, "rows", T, S, q.device), lambda: self.rows(mask, T, S, q.device))
            return table.to(q.dtype).t().index_select(1, rows.flatten()).view(1, -1, T, S)

        return mask.once((self, T, S, q.dtype, q.device, torch.is_grad_enabled(), n_changes(table)), make)

    def rows(self, mask: Mask, T: int, S: int, device: torch.device) -> Tensor:
        """The row of the table for T queries and S keys of the mask: int64 [T, S]."""
        queries = mask.query_places(T, device)[:, None] - self.n_prefix
        keys = mask.key_places(S, device) - self.n_prefix
        y = queries // self.width - keys // self.width + self.height - 1
        x = queries % self.width - keys % self.width + self.width - 1
        rows = y * (2 * self.width - 1) + x
        if not self.n_prefix:
            return rows
        first = len(self.table.weight) - 3
        to_prefix = torch.where(queries < 0, first + 2, first + 1)  # [T, 1]
        return torch.where(keys < 0, to_prefix, torch.where(queries < 0, first, rows))
