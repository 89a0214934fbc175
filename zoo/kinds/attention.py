"""Attention: what mixes information between positions."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from registry import Kind
from zoo.kernels.cache import KeyValueCache, MemoryCache
from zoo.kinds._sizes import sized
from zoo.kinds.position import Position
from zoo.masks import Mask


class Attention(Protocol):
    """check(d_model=, role=, position=) of the spec with role 'self', 'causal' (self-attention that sees no later
    token) or 'cross', and the spec of the positions it meets, None for 'cross'; of the spec, `reads`: the methods of a
    position that it calls, any where it does not say; `gives_nothing`: whether it is none.
    """

    def __call__(
        self,
        query: Tensor,
        memory: Tensor | None = None,
        *,
        mask: Mask,
        position: Position | None,
        cache: KeyValueCache | MemoryCache | None,
    ) -> Tensor:
        """query [B, T, D], memory [B, S, D] | None -> [B, T, D]; memory None means self-attention."""
        ...


ATTENTION = Kind(
    "attention",
    package="zoo.components.attention",
    context=("d_model",),
    check=("d_model", "role", "position"),
    calls=sized("d_model"),
    summary="mixes information between positions",
    contract=Attention,
)
