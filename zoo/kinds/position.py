"""Position: what tells positions apart."""

from __future__ import annotations

from typing import ClassVar, Protocol

from torch import Tensor, nn

from registry import Kind, Spec
from zoo.kinds._sizes import sized
from zoo.masks import Mask


class PositionHooks(Protocol):
    """check(d_model=, n_heads=, d_k=, role=) of the spec for each layer that uses it: its heads, their size, 'self' or
    'causal'; built with the n_heads of the first of them; the spec is a PositionSpec.
    """

    def embed(self, x: Tensor, *, mask: Mask) -> Tensor:
        """x [B, T, D] -> [B, T, D]."""
        ...

    def rotate(self, x: Tensor, *, mask: Mask) -> Tensor:
        """x [B, H, T, K] -> [B, H, T, K]."""
        ...

    def rotate_keys(self, x: Tensor, *, mask: Mask) -> Tensor:
        """x [B, G, T, K] -> [B, G, T, K]."""
        ...

    def bias(self, q: Tensor, k: Tensor, *, scale: float, mask: Mask) -> Tensor | None:
        """q [B, H, T, K], k [B, G, S, K] -> [1 or B, 1 or H, T, S] | None."""
        ...


POSITION = Kind(
    "position",
    package="zoo.components.position",
    context=("d_model", "n_heads"),
    check=("d_model", "n_heads", "d_k", "role"),
    calls={**sized("d_model", "n_heads"), "bias_flops": ("n_heads", "d_k", "batch")},
    summary="tells positions apart, by three hooks with neutral defaults",
    contract=PositionHooks,
)


class PositionSpec(Spec):
    """Base of every positional encoding's spec."""

    is_per_head: ClassVar[bool] = False
    """Whether it is built for one number of heads, so that all layers that share it must have that number."""
    is_of_whole_heads: ClassVar[bool] = False
    """Whether what it does to a query is meant for all of it, where an attention would have a part turned."""

    def part_with(self, hook: str) -> Spec:
        """Whose hook of that name it calls: its own, or that of a position within it."""
        return self


class Position(nn.Module):
    """The three hooks of a positional encoding, each neutral until overridden; one may tell keys from queries.

    Each is given the mask of the sequence, which knows the positions: `mask.query_positions` those of the key axis,
    padding counted, [T]; `mask.token_positions` with real tokens counted only, [T] or [B, T]; `mask.distances` from
    queries to keys, [B or 1, 1, T, S]. Where positions are given to a call, these are they, [B, T]; a part that
    cannot take them raises a ValueError where `mask.positions` is not None. What all layers of a stack share is
    worked out once a batch by `mask.once`. `max_len`, if it has one and that is not None: the longest sequence, padding
    counted, that there are positions for; a search stays within it.
    """

    @property
    def turns(self) -> bool:
        """Whether it does anything to queries or keys before they meet."""
        own = type(self)
        return own.rotate is not Position.rotate or own.rotate_keys is not Position.rotate_keys

    def embed(self, x: Tensor, *, mask: Mask) -> Tensor:
        """Adds to the embeddings: x [B, T, D], the queries of the mask -> [B, T, D]."""
        return x

    def rotate(self, x: Tensor, *, mask: Mask) -> Tensor:
        """Turns new queries, and new keys alike, before they meet: x [B, H, T, K] -> [B, H, T, K]."""
        return x

    def rotate_keys(self, x: Tensor, *, mask: Mask) -> Tensor:
        """Turns new keys where they turn otherwise than queries: x [B, G, T, K] -> [B, G, T, K]."""
        return self.rotate(x, mask=mask)

    def bias(self, q: Tensor, k: Tensor, *, scale: float, mask: Mask) -> Tensor | None:
        """Adds to the scores q kᵀ · scale: q [B, H, T, K], k [B, G, S, K] -> [1 or B, 1 or H, T, S], or None."""
        return None
