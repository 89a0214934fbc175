"""A learned vector per position."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from zoo.costs import NO_PRODUCTS, Cost
from zoo.kinds import POSITION, Position, PositionSpec
from zoo.masks import Mask
from zoo.sizes import Batch


class LearnedSpec(PositionSpec):
    type: Literal["learned"] = "learned"
    max_len: int = Field(512, ge=1, le=10_000_000)
    """Positions there are vectors for: no sequence may be longer."""
    offset: int = Field(0, ge=0, le=1_000_000)
    """Row of the first position; rows before it stay unused: 2 in BART, OPT and RoBERTa."""
    counts_padding: bool = False
    """Whether padding before a token counts (BERT, GPT-2, BART); if not, a padded row gives what it gives alone."""

    def n_parameters(self, *, d_model: int, n_heads: int) -> int:
        return (self.max_len + self.offset) * d_model

    def n_kept(self, *, d_model: int, n_heads: int, batch: Batch) -> int:
        return 2 * batch.n_tokens  # their places, int64

    def cost(self, *, d_model: int, n_heads: int, batch: Batch) -> Cost:
        return NO_PRODUCTS


@POSITION.register(
    "learned",
    spec=LearnedSpec,
    examples=[{"max_len": 23}, {"max_len": 17, "offset": 2, "counts_padding": True}],
)
class Learned(Position):
    """Adds a learned vector per absolute position.

    Source: Gehring et al. 2017; Vaswani et al. 2017, Table 3, row E.
    Shapes: embed x [B, T, D] -> [B, T, D]; the table is [max_len + offset, D].
    Raises: ValueError for a sequence longer than max_len.
    """

    def __init__(
        self, *, d_model: int, n_heads: int, max_len: int, offset: int, counts_padding: bool
    ) -> None:
        super().__init__()
        self.max_len = max_len
        self.offset = offset
        self.counts_padding = counts_padding
        self.table = nn.Embedding(max_len + offset, d_model)

    def embed(self, x: Tensor, *, mask: Mask) -> Tensor:
        T = x.shape[1]
        count = mask.place_positions if self.counts_padding else mask.token_positions
        positions = count(T, x.device)  # [T] or [B, T]
        length = mask.end(T)
        if (
            length > self.max_len and positions.dim() == 2
        ):  # padding and documents make the columns more than the positions
            length = int(positions.max()) + 1
        if length > self.max_len and mask.positions is not None:
            raise ValueError(
                f"position {length - 1} is beyond max_len ({self.max_len}) of the learned positions: 0 to "
                f"{self.max_len - 1}"
            )
        if length > self.max_len:
            raise ValueError(
                f"a sequence of {length} tokens is longer than max_len ({self.max_len}) of the learned positions"
            )
        return x + self.table(positions + self.offset)
