"""Sinusoids that are brought to mean 0 and a small deviation, as those of PatchTST."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from zoo.components.position.sinusoidal import sinusoids
from zoo.costs import NO_PRODUCTS, Cost
from zoo.kinds import POSITION, Position, PositionSpec
from zoo.masks import Mask
from zoo.sizes import Batch


class StandardisedSinusoidalSpec(PositionSpec):
    type: Literal["standardised_sinusoidal"] = "standardised_sinusoidal"
    max_len: int = Field(ge=1, le=10_000_000)
    """Positions, by all of which mean and deviation are taken: no sequence may be longer."""
    base: float = Field(10000.0, gt=1, le=1e9)
    """The longest wavelength is about 2π times this, in tokens."""
    std: float = Field(0.1, gt=0, le=1000)
    """Deviation of the numbers that are added, over all positions and components."""

    def check(self, *, d_model: int, n_heads: int, d_k: int, role: str) -> None:
        if d_model % 2:
            raise ValueError(f"sinusoids come in pairs of sine and cosine: d_model ({d_model}) must be even")

    def n_parameters(self, *, d_model: int, n_heads: int) -> int:
        return 0

    def n_kept(self, *, d_model: int, n_heads: int, batch: Batch) -> int:
        return 0

    def cost(self, *, d_model: int, n_heads: int, batch: Batch) -> Cost:
        return NO_PRODUCTS


@POSITION.register(
    "standardised_sinusoidal",
    spec=StandardisedSinusoidalSpec,
    examples=[{"max_len": 23}, {"max_len": 17, "base": 50.0, "std": 0.5}],
)
class StandardisedSinusoidal(Position):
    """Adds the paper's sinusoids, less their mean and brought to a deviation. Nothing is learned.

    Source: the authors' code of Nie et al. 2023 (PatchTST), whose positions are learned unless sinusoids are asked for.
    Shapes: embed x [B, T, D] -> [B, T, D]; D even.
    Raises: ValueError for a sequence longer than max_len.
    """

    def __init__(self, *, d_model: int, n_heads: int, max_len: int, base: float, std: float) -> None:
        super().__init__()
        self.d_model = d_model
        self.max_len = max_len
        self.base = base
        self.std = std

    def embed(self, x: Tensor, *, mask: Mask) -> Tensor:
        T = x.shape[1]

        def make() -> Tensor:
            positions = mask.token_positions(T, x.device)  # [T] or [B, T]
            if mask.end(T) > self.max_len and (length := int(positions.max()) + 1) > self.max_len:
                raise ValueError(
                    f"a sequence of {length} tokens is longer than max_len ({self.max_len}) of the sinusoids"
                )
            table = standardised_sinusoids(self.max_len, self.d_model, self.base, self.std, x.device)
            return F.embedding(positions, table.to(x.dtype))

        return x + mask.once((self, T, x.dtype, x.device), make)  # [T, D] or [B, T, D]


def standardised_sinusoids(
    length: int, size: int, base: float, std: float, device: torch.device | None = None
) -> Tensor:
    """The encodings of the first positions: [length, size], in float64; their deviation is the unbiased one."""
    waves = sinusoids(torch.arange(length, device=device), size, base, "interleaved")
    return (waves - waves.mean()) * (std / waves.std())
