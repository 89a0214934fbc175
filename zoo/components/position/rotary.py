"""Rotary positions: queries and keys are turned by an angle that grows with their position."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from registry import Spec
from zoo.costs import NO_PRODUCTS, Cost
from zoo.kernels.rotary import Pairing, paired, turned, turns
from zoo.kinds import POSITION, ROTARY_SCALING, Position, PositionSpec
from zoo.masks import Mask
from zoo.sizes import Batch, n_parameters

Tables = tuple[Tensor, Tensor]


class RotarySpec(PositionSpec):
    type: Literal["rotary"] = "rotary"
    base: float = Field(10000.0, gt=1, le=1e9)
    """θ: pair i of K features turns by θ^(-2i/K) radians a token."""
    pairing: Pairing = "half"
    """Which features turn together: i and i + K/2 (LLaMA, GPT-NeoX), or 2i and 2i + 1 (the paper, GPT-J)."""
    fraction: float = Field(1.0, gt=0, le=1)
    """Share of a head's features that turn, the first ones; the rest pass as they are (GPT-NeoX: 0.25)."""
    scaling: Annotated[Spec | None, ROTARY_SCALING] = None
    """How to turn more slowly, for sequences longer than those of training; None: not at all."""
    max_len: int | None = Field(None, ge=1, le=100_000_000)
    """The longest sequence; None: any. RoFormer keeps the turns in a table, which has an end; a formula has not."""

    def check(self, *, d_model: int, n_heads: int, d_k: int, role: str) -> None:
        size = int(d_k * self.fraction)
        if size < 2 or size % 2:
            share = "" if self.fraction == 1 else f" times fraction ({self.fraction:g}) is {size}, which"
            raise ValueError(
                f"rotary turns features in pairs: the head size d_k ({d_k}){share} must be even and at least 2"
            )

    def contexts(self, *, d_k: int, **rest: Any) -> dict[str, dict[str, Any]]:
        return {"scaling": {"size": int(d_k * self.fraction)}}

    def n_parameters(self, *, d_model: int, n_heads: int) -> int:
        return 0 if self.scaling is None else n_parameters(ROTARY_SCALING, self.scaling)

    def n_kept(self, *, d_model: int, n_heads: int, batch: Batch) -> int:
        return 0

    def cost(self, *, d_model: int, n_heads: int, batch: Batch) -> Cost:
        return NO_PRODUCTS


@POSITION.register(
    "rotary",
    spec=RotarySpec,
    examples=[
        {},
        {"base": 50.0, "pairing": "interleaved", "fraction": 0.5, "max_len": 30},
        {"base": 50.0, "scaling": {"type": "linear", "factor": 3.0}},
        {"base": 50.0, "scaling": {"type": "ntk", "factor": 3.0}},
        {"base": 50.0, "scaling": {"type": "dynamic_ntk", "factor": 3.0, "original_max_len": 20}},
        {"base": 50.0, "scaling": {"type": "yarn", "factor": 3.0, "original_max_len": 20, "truncate": False}},
        {"base": 50.0, "scaling": {"type": "llama3", "factor": 3.0, "original_max_len": 20}},
        {
            "base": 50.0,
            "scaling": {"type": "longrope", "short": [1.0, 1.5], "long": [2.0, 3.5], "original_max_len": 20},
        },
    ],
)
class Rotary(Position):
    """Turns queries and keys so that their product depends on the distance between them only.

    Source: Su et al. 2021, equation 34; a fraction of the features: Black et al. 2022, section 2.1.
    Shapes: rotate x [B, H, T, K] -> [B, H, T, K]; the share of K that turns is even.
    Raises: ValueError for a sequence longer than max_len, padding counted, and for documents under a scaling that
        follows the length.
    """

    def __init__(
        self,
        *,
        d_model: int,
        n_heads: int,
        base: float,
        pairing: Pairing,
        fraction: float,
        scaling: Spec | None,
        max_len: int | None,
    ) -> None:
        super().__init__()
        self.max_len = max_len
        self.base = base
        self.pairing = pairing
        self.fraction = fraction
        self.scaling = None if scaling is None else ROTARY_SCALING.build(scaling)

    def rotate(self, x: Tensor, *, mask: Mask) -> Tensor:
        return self._turned(x, mask, self._tables)

    def _turned(self, x: Tensor, mask: Mask, make: Callable[[Tensor, int, Mask], Tables]) -> Tensor:
        """x by the cosines and signed sines that `make` gives for it, for how many features turn, and for its mask."""
        T, K = x.shape[2:]
        size = int(K * self.fraction)

        def tables() -> Tables:
            cos, sin = make(x, size, mask)
            return cos.to(x.dtype), sin.to(x.dtype)

        cos, sin = mask.once((make, T, K, x.dtype, x.device), tables)
        if size == K:
            return turned(x, cos, sin, self.pairing)
        return torch.cat([turned(x[..., :size], cos, sin, self.pairing), x[..., size:]], dim=-1)

    def _tables(self, x: Tensor, size: int, mask: Mask) -> Tables:
        """Cosines and signed sines of every feature at every query: float64 [B or 1, 1, T, size] each."""
        T = x.shape[2]
        if getattr(self.scaling, "follows_length", False):
            if mask.documents is not None:
                raise ValueError(
                    "this scaling of rotary positions follows the length of a row, so it knows no documents: give each "
                    "a row of its own, or take another scaling"
                )
            if mask.positions is not None:
                raise ValueError(
                    "this scaling of rotary positions follows the length of a row and takes no positions given to a "
                    "call: take another scaling"
                )
        if self.max_len is not None and (length := mask.end(T)) > self.max_len:
            raise ValueError(
                f"a sequence of {length} tokens is longer than max_len ({self.max_len}) of the turns"
            )
        speeds, growth = self._speeds(size, mask.offset + T, x.device)
        angles = self._positions(x, mask) * speeds  # [B or 1, 1, T, size/2]
        cos, sin = angles.cos() * growth, angles.sin() * growth
        return paired(cos, cos, self.pairing), paired(-sin, sin, self.pairing)

    def _positions(self, x: Tensor, mask: Mask) -> Tensor:
        """Of each query, float64 [B or 1, 1, T, 1]."""
        T = x.shape[2]
        return mask.query_positions(T, x.device).double().view(-1, 1, T, 1)

    def _speeds(self, size: int, length: int, device: torch.device) -> tuple[Tensor, float]:
        if self.scaling is None:
            return turns(self.base, size, device), 1.0
        return self.scaling(self.base, size, length, device)
