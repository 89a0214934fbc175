"""The paper's sinusoids, in the two orders in which libraries lay them out."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from registry import Spec
from zoo.kinds import POSITION, Position


class SinusoidalSpec(Spec):
    type: Literal["sinusoidal"] = "sinusoidal"
    base: float = Field(10000.0, gt=1, le=1e9)
    """The longest wavelength is 2π times this, in tokens."""
    layout: Literal["interleaved", "concatenated"] = "interleaved"
    """sin and cos alternating, as the paper writes, or all sines before all cosines, as Marian does."""

    def check(self, *, d_model: int, d_k: int) -> None:
        if d_model % 2:
            raise ValueError(f"sinusoids come in pairs of sine and cosine: d_model ({d_model}) must be even")


@POSITION.register("sinusoidal", spec=SinusoidalSpec, examples=[{}, {"base": 50.0, "layout": "concatenated"}])
class Sinusoidal(Position):
    """Adds sin(pos / base^(2i/D)) at feature 2i and the cosine of the same at 2i + 1. Nothing is learned.

    Source: Vaswani et al. 2017, section 3.5.
    Shapes: embed x [B, T, D], positions [T] or [B, T] -> [B, T, D].
    """

    def __init__(self, *, d_model: int, base: float, layout: Literal["interleaved", "concatenated"]) -> None:
        super().__init__()
        self.d_model = d_model
        self.base = base
        self.layout = layout

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        return x + self.encode(positions).to(x.dtype)

    def encode(self, positions: Tensor) -> Tensor:
        """The encodings of positions [...]: [..., D], in float64 (a float32 angle is off by 0.004 at 65,536)."""
        pairs = torch.arange(0, self.d_model, 2, dtype=torch.float64, device=positions.device)
        angles = positions[..., None] * self.base ** (-pairs / self.d_model)  # [..., D/2]
        if self.layout == "concatenated":
            return torch.cat([angles.sin(), angles.cos()], dim=-1)
        return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2)
