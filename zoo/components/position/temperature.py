"""Temperature by position: the farther a query stands, the sharper it attends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from zoo.costs import NO_PRODUCTS, Cost
from zoo.kinds import POSITION, Position, PositionSpec
from zoo.masks import Mask
from zoo.sizes import Batch


class TemperatureSpec(PositionSpec):
    type: Literal["temperature"] = "temperature"
    expected_failures: ClassVar[Mapping[str, str]] = {
        "scores_depend_on_distance_alone": "scores grow with the place of the query, at any distance",
    }
    is_of_whole_heads: ClassVar[bool] = True
    step: int = Field(8192, ge=1, le=1_000_000_000)
    """Tokens after which scores grow, and grow again."""
    strength: float = Field(0.1, gt=0, le=100)
    """How much they grow, in shares a factor e of steps."""

    def n_parameters(self, *, d_model: int, n_heads: int) -> int:
        return 0

    def n_kept(self, *, d_model: int, n_heads: int, batch: Batch) -> int:
        return 0

    def cost(self, *, d_model: int, n_heads: int, batch: Batch) -> Cost:
        return NO_PRODUCTS


@POSITION.register("temperature", spec=TemperatureSpec, examples=[{"step": 3, "strength": 0.7}, {"step": 1}])
class Temperature(Position):
    """Multiplies query i by 1 + strength · ln(1 + ⌊(i + 1) / step⌋), so that weights over many keys stay as sharp.

    Places are counted from each document's first, padding with them; it tells no places apart within a step.

    Source: Nakanishi 2025 (2501.19399), scores that grow with the logarithm of the length; Meta 2025 (Llama 4, its
        layers without rotary positions), in steps and by a fixed strength.
    Shapes: rotate x [B, H, T, K] -> [B, H, T, K]; keys stay.
    """

    def __init__(self, *, d_model: int, n_heads: int, step: int, strength: float) -> None:
        super().__init__()
        self.step = step
        self.strength = strength

    def rotate(self, x: Tensor, *, mask: Mask) -> Tensor:
        T = x.shape[2]

        def make() -> Tensor:
            steps = (mask.place_positions(T, x.device) + 1) // self.step  # [T] or [B, T]
            factors = 1 + self.strength * steps.to(torch.float64).log1p()
            return factors.to(x.dtype)[..., None, :, None]  # [.., 1, T, 1]

        return x * mask.once((self, T, x.dtype, x.device), make)

    def rotate_keys(self, x: Tensor, *, mask: Mask) -> Tensor:
        return x
