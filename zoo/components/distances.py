"""Distances from queries to keys, told apart up to a radius: what parts with a vector for each share."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from pydantic import BeforeValidator, Field
from torch import Tensor

from zoo.masks import Mask


def _checked_sides(radius: Any) -> Any:
    if isinstance(radius, list | tuple) and len(radius) != 2:
        raise ValueError(f"must be an integer, or a list of two, [before, after], got {list(radius)!r:.60}")
    return radius


Side = Annotated[int, Field(ge=0, le=1_000_000)]
Radius = Annotated[Side | tuple[Side, Side], BeforeValidator(_checked_sides)]
"""Of keys before and after a query, or one number for both."""


def sides(radius: Radius) -> tuple[int, int]:
    """How far before and after a query distances are told apart."""
    return radius if isinstance(radius, tuple) else (radius, radius)


def n_distances(radius: Radius) -> int:
    """How many distances are told apart, 0 among them."""
    return sum(sides(radius)) + 1


def check_radius(radius: Radius, *, role: str) -> None:
    """Raises ValueError where vectors are asked for by name, of a side, that a causal stack never sees."""
    if isinstance(radius, tuple) and radius[1] and role == "causal":
        raise ValueError(
            f"radius ({list(radius)}) tells keys after a query apart, and in a causal stack there are none: "
            f"give [{radius[0]}, 0]"
        )


def clipped_distances(
    mask: Mask, n_queries: int, n_keys: int, radius: Radius, device: torch.device
) -> Tensor:
    """The number of each query and key's distance, the farthest before a query being 0: int64 [B or 1, 1, T, S]."""
    before, after = sides(radius)

    def make() -> Tensor:
        return mask.distances(n_queries, n_keys, device).clamp(-before, after) + before

    return mask.once(("clipped", before, after, n_queries, n_keys, device), make)


def n_changes(table: Tensor) -> int:
    """How often a table was changed, for the key of what is made of it; 0 where nothing counts that."""
    return 0 if torch.compiler.is_compiling() or table.is_inference() else table._version
