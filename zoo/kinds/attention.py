"""Attention: what mixes information between positions."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor

from registry import Kind
from zoo.kernels.cache import Cache, CrossCache
from zoo.kinds._sizes import sized
from zoo.kinds.position import Position
from zoo.masks import Mask


class Attention(Protocol):
    """check(d_model=, role=, position=) of the spec with role 'self', 'causal' (self-attention that sees no later
    token) or 'cross', and the spec of the positions it meets, None for 'cross'; of the spec, `reads`: the methods of a
    position that it calls, any where it does not say; `gives_nothing`: whether it is none. roles(), if it
    has that: what its matrices are for, see zoo.kinds.Role. What it attends to is seen where it calls
    zoo.kernels.attention.attend; weights of a softmax of its own it shows by zoo.kernels.watching.seen.
    """

    def __call__(
        self,
        query: Tensor,
        memory: Tensor | None = None,
        *,
        mask: Mask,
        position: Position | None,
        cache: Any,
    ) -> Tensor:
        """query [B, T, D], memory [B, S, D] | None -> [B, T, D]; memory None means self-attention. cache is None or, in
        a search, what it made itself: then query are the tokens that are new, and memory is given at the first call.
        """
        ...

    def new_cache(self) -> Cache | None:
        """What self-attention keeps of the tokens so far, at first of none; None: it keeps nothing. Its rows can be
        reordered; nobody else looks inside, nor does it know of other layers.
        """
        ...

    def new_memory_cache(self) -> CrossCache | None:
        """What cross-attention keeps of the memory: one row a sentence, while query may hold several."""
        ...


ATTENTION = Kind(
    "attention",
    package="zoo.components.attention",
    context=("d_model",),
    check=("d_model", "role", "position"),
    calls=sized("d_model", further=("role", "position")),
    summary="mixes information between positions",
    contract=Attention,
)
