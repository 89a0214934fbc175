"""Sinusoids of a grid's rows and columns, for image patches."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from zoo.components.position.sinusoidal import WaveLayout, sinusoids
from zoo.costs import NO_PRODUCTS, Cost
from zoo.kinds import POSITION, Position, PositionSpec
from zoo.masks import Mask
from zoo.sizes import Batch


class Sinusoidal2DSpec(PositionSpec):
    type: Literal["sinusoidal_2d"] = "sinusoidal_2d"
    height: int = Field(ge=1, le=100_000)
    """Rows of the grid."""
    width: int = Field(ge=1, le=100_000)
    """Columns of the grid."""
    n_prefix: int = Field(0, ge=0, le=100_000)
    """Tokens before the grid that have no place in it, such as a class token and registers: zeros are added."""
    first: Literal["columns", "rows"] = "columns"
    """What the first half of the features tells: columns by MAE's and big_vision's code, rows by transformers'."""
    base: float = Field(10000.0, gt=1, le=1e9)
    """The longest wavelength is about 2π times this, in rows or columns."""
    layout: WaveLayout = "concatenated"
    """Order of sines and cosines within a half, as in sinusoidal: concatenated in MAE, inclusive in big_vision."""

    @property
    def grid(self) -> tuple[int, int, int]:
        """The prefix, and the rows and columns after it."""
        return self.n_prefix, self.height, self.width

    @property
    def max_len(self) -> int:
        """Places of prefix and grid."""
        return self.n_prefix + self.height * self.width

    def check(self, *, d_model: int, n_heads: int, d_k: int, role: str) -> None:
        if d_model % 4:
            raise ValueError(
                f"rows and columns have sines and cosines each: d_model ({d_model}) must be a multiple of 4"
            )
        if self.layout == "concatenated_inclusive" and d_model < 8:
            raise ValueError(f"{self.layout} needs two wavelengths: d_model ({d_model}) must be at least 8")

    def n_parameters(self, *, d_model: int, n_heads: int) -> int:
        return 0

    def n_kept(self, *, d_model: int, n_heads: int, batch: Batch) -> int:
        return 0

    def cost(self, *, d_model: int, n_heads: int, batch: Batch) -> Cost:
        return NO_PRODUCTS


@POSITION.register(
    "sinusoidal_2d",
    spec=Sinusoidal2DSpec,
    examples=[
        {"height": 4, "width": 5, "n_prefix": 2},
        {"height": 5, "width": 3, "first": "rows", "base": 50.0, "layout": "concatenated_inclusive"},
    ],
)
class Sinusoidal2D(Position):
    """Adds sinusoids of the row to one half of the features and of the column to the other. Nothing is learned.

    The grid is read row by row; a sequence may end before the grid does.

    Source: He et al. 2022 (MAE), appendix A.1; Beyer et al. 2022.
    Shapes: embed x [B, T, D] -> [B, T, D]; T at most n_prefix + height·width, D a multiple of 4.
    Raises: ValueError for a longer sequence, and for documents.
    """

    def __init__(
        self,
        *,
        d_model: int,
        n_heads: int,
        height: int,
        width: int,
        n_prefix: int,
        first: Literal["columns", "rows"],
        base: float,
        layout: WaveLayout,
    ) -> None:
        super().__init__()
        self.d_model = d_model
        self.height = height
        self.width = width
        self.n_prefix = n_prefix
        self.first = first
        self.base = base
        self.layout: WaveLayout = layout

    def embed(self, x: Tensor, *, mask: Mask) -> Tensor:
        T = x.shape[1]
        if mask.documents is not None:
            raise ValueError("sinusoids of a grid know no documents: give each image a row of its own")
        if mask.positions is not None:
            raise ValueError(
                "sinusoids of a grid tell its places apart and take no positions given to a call"
            )
        first, length = mask.offset, mask.offset + T
        if length > self.n_prefix + self.height * self.width:
            raise ValueError(
                f"a sequence of {length} is longer than the {self.n_prefix} tokens of the prefix (n_prefix) and "
                f"the grid of {self.height} rows by {self.width} columns"
            )
        table = mask.once((self, "table", x.dtype, x.device), lambda: self.table(x.device).to(x.dtype))
        return x + table[first:length]

    def table(self, device: torch.device) -> Tensor:
        """What is added at each place of prefix and grid: float64 [n_prefix + height·width, D]."""
        places = torch.arange(self.height * self.width, device=device)
        columns, rows = places % self.width, places // self.width
        order = (columns, rows) if self.first == "columns" else (rows, columns)
        halves = [sinusoids(along, self.d_model // 2, self.base, self.layout) for along in order]
        return F.pad(torch.cat(halves, dim=1), (0, 0, self.n_prefix, 0))
