"""A learned vector per position."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.kinds import POSITION, Position


class LearnedSpec(Spec):
    type: Literal["learned"] = "learned"
    max_len: int = Field(512, ge=1, le=10_000_000)
    """Positions there are vectors for: no sequence may be longer."""


@POSITION.register("learned", spec=LearnedSpec, examples=[{"max_len": 23}])
class Learned(Position):
    """Adds a learned vector per absolute position.

    Source: Gehring et al. 2017; Vaswani et al. 2017, Table 3, row E.
    Shapes: embed x [B, T, D], positions [T] or [B, T] -> [B, T, D].
    Raises: ValueError for a sequence longer than max_len.
    """

    def __init__(self, *, d_model: int, max_len: int) -> None:
        super().__init__()
        self.table = nn.Embedding(max_len, d_model)

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        # The last position is read on the CPU only: on a GPU that would wait for the device at each call.
        known = positions.device.type == "cpu" and positions.numel() > 0
        length = int(positions.max()) + 1 if known else positions.shape[-1]
        if length > self.table.num_embeddings:
            raise ValueError(
                f"a sequence of {length} tokens is longer than max_len ({self.table.num_embeddings}) "
                "of the learned positions"
            )
        return x + self.table(positions)
