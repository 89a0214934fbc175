"""The paper's sinusoids, in the three layouts that libraries use."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from zoo.costs import NO_PRODUCTS, Cost
from zoo.kinds import POSITION, Position, PositionSpec
from zoo.masks import Mask
from zoo.sizes import Batch

WaveLayout = Literal["interleaved", "concatenated", "concatenated_inclusive"]


class SinusoidalSpec(PositionSpec):
    type: Literal["sinusoidal"] = "sinusoidal"
    base: float = Field(10000.0, gt=1, le=1e9)
    """The longest wavelength is about 2π times this, in tokens."""
    layout: WaveLayout = "interleaved"
    """Sines and cosines alternating (the paper), or all sines first (Marian), or that up to 1 / base (Whisper)."""
    counts_padding: bool = False
    """Whether padding before a token counts (Marian, Whisper); if not, a padded row gives what it gives alone."""
    offset: int = Field(0, ge=0, le=1_000_000)
    """The number of the first position: 0, or the padding id and one more (fairseq: M2M-100, NLLB)."""
    max_len: int | None = Field(None, ge=1, le=10_000_000)
    """The longest sequence; None: any. Libraries that keep the encodings in a table have an end, a formula has not."""

    def check(self, *, d_model: int, n_heads: int, d_k: int, role: str) -> None:
        if d_model % 2:
            raise ValueError(f"sinusoids come in pairs of sine and cosine: d_model ({d_model}) must be even")
        if self.layout == "concatenated_inclusive" and d_model < 4:
            raise ValueError(f"{self.layout} needs two wavelengths: d_model ({d_model}) must be at least 4")

    def n_parameters(self, *, d_model: int, n_heads: int) -> int:
        return 0

    def n_kept(self, *, d_model: int, n_heads: int, batch: Batch) -> int:
        return 0

    def cost(self, *, d_model: int, n_heads: int, batch: Batch) -> Cost:
        return NO_PRODUCTS


@POSITION.register(
    "sinusoidal",
    spec=SinusoidalSpec,
    examples=[
        {},
        {"base": 50.0, "layout": "concatenated", "counts_padding": True, "max_len": 30},
        {"layout": "concatenated_inclusive", "offset": 2},
    ],
)
class Sinusoidal(Position):
    """Adds the sine and cosine of the position at D/2 wavelengths. Nothing is learned.

    Source: Vaswani et al. 2017, section 3.5 (interleaved); the concatenated layouts by the code of Marian and of
        tensor2tensor, which fairseq and Whisper took over.
    Shapes: embed x [B, T, D] -> [B, T, D]; D even.
    Raises: ValueError for a sequence longer than max_len, padding counted.
    """

    def __init__(
        self,
        *,
        d_model: int,
        n_heads: int,
        base: float,
        layout: WaveLayout,
        counts_padding: bool,
        offset: int,
        max_len: int | None,
    ) -> None:
        super().__init__()
        self.d_model = d_model
        self.base = base
        self.layout: WaveLayout = layout
        self.counts_padding = counts_padding
        self.offset = offset
        self.max_len = max_len

    def embed(self, x: Tensor, *, mask: Mask) -> Tensor:
        T = x.shape[1]
        length = 0 if self.max_len is None else mask.end(T)
        if self.max_len is not None and length > self.max_len and mask.documents is not None:
            length = int(mask.place_positions(T, x.device).max()) + 1
        if self.max_len is not None and length > self.max_len:
            raise ValueError(
                f"a sequence of {length} tokens is longer than max_len ({self.max_len}) of the sinusoids"
            )

        def waves(positions: Tensor) -> Tensor:
            return sinusoids(positions + self.offset, self.d_model, self.base, self.layout).to(x.dtype)

        def make() -> Tensor:
            positions = (mask.place_positions if self.counts_padding else mask.token_positions)(T, x.device)
            length = mask.offset + T
            if positions.numel() <= length or mask.positions is not None:
                return waves(positions)
            # Rows that count for themselves share a table: a GPU is slow in float64.
            return F.embedding(positions, waves(torch.arange(length, device=x.device)))

        return x + mask.once((self, T, x.dtype, x.device), make)  # [T, D] or [B, T, D]


def sinusoids(positions: Tensor, size: int, base: float, layout: WaveLayout) -> Tensor:
    """The encodings of positions [...]: [..., size], in float64 (a float32 angle is off by 0.004 at 65,536).

    Pair i of n = size / 2 turns by base^(-i/n) radians a token, by base^(-i/(n - 1)) where the last is included.
    """
    n = size // 2
    pairs = torch.arange(n, dtype=torch.float64, device=positions.device)
    angles = positions[..., None] * base ** (-pairs / (n - 1 if layout == "concatenated_inclusive" else n))
    waves = angles.sin(), angles.cos()  # [..., n] each
    if layout == "interleaved":
        return torch.stack(waves, dim=-1).flatten(-2)
    return torch.cat(waves, dim=-1)
