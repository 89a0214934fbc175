"""Rotary positions: queries and keys are turned by an angle that grows with their position."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from registry import Spec
from zoo.kinds import POSITION, Position


class RotarySpec(Spec):
    type: Literal["rotary"] = "rotary"
    base: float = Field(10000.0, gt=1, le=1e9)
    """θ: pair i turns by base^(-2i/K) radians a token."""
    pairing: Literal["half", "interleaved"] = "half"
    """Which features turn together: i and i + K/2 (LLaMA, GPT-NeoX), or 2i and 2i + 1 (the paper, GPT-J)."""

    def check(self, *, d_model: int, d_k: int) -> None:
        if d_k % 2:
            raise ValueError(f"rotary turns features in pairs: the head size d_k ({d_k}) must be even")


@POSITION.register("rotary", spec=RotarySpec, examples=[{}, {"base": 50.0, "pairing": "interleaved"}])
class Rotary(Position):
    """Turns queries and keys so that their product depends on the distance between them only.

    Source: Su et al. 2021, equation 34.
    Shapes: rotate x [B, H, T, K], positions [T] or [B, T] -> [B, H, T, K]; K even.
    """

    def __init__(self, *, d_model: int, base: float, pairing: Literal["half", "interleaved"]) -> None:
        super().__init__()
        self.base = base
        self.pairing = pairing

    def rotate(self, x: Tensor, positions: Tensor) -> Tensor:
        K = x.shape[-1]
        pairs = torch.arange(0, K, 2, dtype=torch.float64, device=x.device)
        angles = positions[..., None] * self.base ** (-pairs / K)  # [T, K/2] or [B, T, K/2]
        if angles.dim() == 3:
            angles = angles[:, None]  # [B, 1, T, K/2]
        cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
        if self.pairing == "half":
            a, b = x.chunk(2, dim=-1)
            return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)
        a, b = x[..., 0::2], x[..., 1::2]
        return torch.stack([a * cos - b * sin, b * cos + a * sin], dim=-1).flatten(-2)
