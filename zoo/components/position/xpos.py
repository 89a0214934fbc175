"""xPos: rotary positions whose products also fade with the distance, the faster a pair turns the faster."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from zoo.components.position.rotary import Rotary, RotarySpec, Tables
from zoo.costs import NO_PRODUCTS, Cost
from zoo.kernels.rotary import paired
from zoo.kinds import POSITION
from zoo.masks import Mask
from zoo.sizes import Batch


class XposSpec(RotarySpec):
    type: Literal["xpos"] = "xpos"  # type: ignore[assignment]
    gamma: float = Field(0.4, gt=0, le=1e6)
    """γ: pair i of N, from 0, fades by ζ = (i/N + γ) / (1 + γ) every scale_base tokens; the larger, the less."""
    scale_base: float = Field(512.0, gt=0, le=1e9)
    """Tokens of distance at which products of a pair are ζ times as large."""
    max_len: int = Field(2048, ge=1, le=100_000_000)
    """The longest sequence: scales are counted from its middle, so that they reach farthest."""

    def check(self, *, d_model: int, n_heads: int, d_k: int, role: str) -> None:
        super().check(d_model=d_model, n_heads=n_heads, d_k=d_k, role=role)
        if role != "causal":
            raise ValueError(
                "xpos fades with the distance to keys before a query and grows with that to keys after it: "
                "it belongs in a causal stack; take rotary"
            )
        most = farthest(self.gamma, self.scale_base, torch.float32)
        if self.max_len / 2 > most:
            raise ValueError(
                f"max_len ({self.max_len}) of xpos is too long for scales that float32 holds, {2 * most:,.0f} tokens "
                f"at this gamma ({self.gamma:g}) and scale_base ({self.scale_base:g}): make scale_base or gamma larger"
            )

    def n_parameters(self, *, d_model: int, n_heads: int) -> int:
        return super().n_parameters(d_model=d_model, n_heads=n_heads)

    def n_kept(self, *, d_model: int, n_heads: int, batch: Batch) -> int:
        return 0

    def cost(self, *, d_model: int, n_heads: int, batch: Batch) -> Cost:
        return NO_PRODUCTS


def farthest(gamma: float, scale_base: float, dtype: torch.dtype) -> float:
    """Tokens from the middle at which scales take up half of the dtype's orders of magnitude: the others are left to
    what is scaled."""
    return scale_base * -math.log(torch.finfo(dtype).tiny) / 2 / math.log(1 + 1 / gamma)


@POSITION.register(
    "xpos",
    spec=XposSpec,
    examples=[
        {"scale_base": 9.0, "max_len": 40},
        {
            "base": 50.0,
            "pairing": "interleaved",
            "fraction": 0.5,
            "gamma": 0.7,
            "scale_base": 5.0,
            "max_len": 30,
        },
    ],
)
class Xpos(Rotary):
    """Turns queries and keys as rotary does, and multiplies the one by ζ^(n / scale_base), the other by its inverse.

    So the product of a pair of features is ζ^(distance / scale_base) times that of rotary. n is counted from the middle
    of max_len: from one place at every call, unlike the authors' middle of each call's sequence, so that keys can be
    kept for decoding. Scores are the same from any place.

    Source: Sun et al. 2022 (2212.10554), Algorithm 1.
    Shapes: rotate and rotate_keys x [B, H, T, K] -> [B, H, T, K]; the share of K that turns is even.
    Raises: ValueError for a sequence longer than max_len, padding counted, or than the scales that x's dtype holds.
    """

    def __init__(self, *, gamma: float, scale_base: float, **inherited: Any) -> None:
        super().__init__(**inherited)
        self.gamma = gamma
        self.scale_base = scale_base
        assert self.max_len is not None
        self.middle = self.max_len / 2

    def rotate(self, x: Tensor, *, mask: Mask) -> Tensor:
        return self._turned(x, mask, self._query_tables)

    def rotate_keys(self, x: Tensor, *, mask: Mask) -> Tensor:
        return self._turned(x, mask, self._key_tables)

    def _query_tables(self, x: Tensor, size: int, mask: Mask) -> Tables:
        (cos, sin), scales = self._tables(x, size, mask), self._scales(x, size, mask)
        return cos * scales, sin * scales

    def _key_tables(self, x: Tensor, size: int, mask: Mask) -> Tables:
        (cos, sin), scales = self._tables(x, size, mask), self._scales(x, size, mask)
        return cos / scales, sin / scales

    def _scales(self, x: Tensor, size: int, mask: Mask) -> Tensor:
        """ζ^(n / scale_base) of every feature at every query: float64 [B or 1, 1, T, size]."""
        first = mask.offset if mask.positions is None else int(mask.positions.min())
        self._check_range(first, mask.end(x.shape[2]) - 1, x.dtype)
        pairs = torch.arange(size // 2, dtype=torch.float64, device=x.device)
        zeta = (2 * pairs / size + self.gamma) / (1 + self.gamma)
        powers = (self._positions(x, mask) - self.middle) / self.scale_base
        scales = zeta**powers  # [B or 1, 1, T, size/2]
        return paired(scales, scales, self.pairing)

    def _check_range(self, first: int, last: int, dtype: torch.dtype) -> None:
        most = farthest(self.gamma, self.scale_base, dtype)
        if max(last - self.middle, self.middle - first) > most:
            raise ValueError(
                f"{str(dtype)[6:]} holds the scales of xpos up to {most:,.0f} tokens from the middle of max_len "
                f"({self.max_len}), and positions {first} to {last} are asked for: take a larger scale_base or a wider "
                "dtype"
            )
