"""Positions of one's own by two hooks: one biases the scores, the other turns queries and keys.

On the command line: `zoo train quickstart --plugin THIS_FILE model.position=recency`, or `model.position=spiral`.
"""

from typing import Literal

import torch
from pydantic import Field

from zoo.conformance import findings, part_of
from zoo.kinds import POSITION, Position, PositionSpec


class RecencySpec(PositionSpec):
    type: Literal["recency"] = "recency"
    half_life: float = Field(8.0, gt=0)  # tokens in which a weight halves


@POSITION.register("recency", spec=RecencySpec, examples=[{"half_life": 3.0}])
class Recency(Position):
    """Weights halve every half_life tokens of distance."""

    def __init__(self, *, d_model: int, n_heads: int, half_life: float) -> None:
        super().__init__()
        self.half_life = half_life

    def bias(self, q, k, *, scale, mask):  # q [B, H, T, K], k [B, G, S, K] -> [B or 1, 1, T, S]
        distances = mask.distances(q.shape[2], k.shape[2], q.device).abs()
        return (-0.6931 / self.half_life * distances).to(q.dtype)


class SpiralSpec(PositionSpec):
    type: Literal["spiral"] = "spiral"

    def check(self, *, d_model: int, n_heads: int, d_k: int, role: str) -> None:
        if d_k % 2:
            raise ValueError(f"spiral turns features in pairs: the head size d_k ({d_k}) must be even")


@POSITION.register("spiral", spec=SpiralSpec, examples=[{}])
class Spiral(Position):
    """Turns pair i of features by position / (i + 1) radians: products know distances only."""

    def __init__(self, *, d_model: int, n_heads: int) -> None:
        super().__init__()

    def rotate(self, x, *, mask):  # x [B, H, T, K] -> [B, H, T, K]
        a, b = x.chunk(2, dim=-1)
        numbers = torch.arange(1, a.shape[-1] + 1, dtype=torch.float64, device=x.device)
        positions = mask.query_positions(x.shape[2], x.device)  # [T], or [B, T] where a call gives them
        angles = positions.view(-1, 1, x.shape[2], 1) / numbers  # [B or 1, 1, T, K/2]
        cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
        return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)


if __name__ == "__main__":
    for each in findings({spec.type: part_of(POSITION, spec) for spec in (RecencySpec(), SpiralSpec())}):
        print(f"{each.part}: {each.law} {each.result}")
