"""No attention."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from registry import Spec
from zoo.costs import NO_PRODUCTS, Cost
from zoo.kinds import ATTENTION, Position
from zoo.masks import Mask
from zoo.sizes import Batch


class NoAttentionSpec(Spec):
    type: Literal["none"] = "none"
    gives_nothing: ClassVar[bool] = True
    expected_failures: ClassVar[Mapping[str, str]] = {
        "more_queries_than_keys_are_refused": "it looks at neither",
    }
    reads: ClassVar[tuple[str, ...]] = ()

    def n_parameters(self, *, d_model: int) -> int:
        return 0

    def n_kept(self, *, d_model: int, role: str, position: Spec | None, batch: Batch) -> int:
        return 0

    def cost(self, *, d_model: int, role: str, position: Spec | None, batch: Batch) -> Cost:
        return NO_PRODUCTS


@ATTENTION.register("none", spec=NoAttentionSpec, examples=[{}])
class NoAttention(nn.Module):
    """Zeros: the residual sum keeps what it had, and no position learns of another.

    Source: none; the baseline that tells what attention adds. A single head is no part of its own: n_heads 1.
    Shapes: query [B, T, D], memory [B, S, D] or None -> [B, T, D].
    """

    def __init__(self, *, d_model: int) -> None:
        super().__init__()

    def forward(
        self,
        query: Tensor,
        memory: Tensor | None = None,
        *,
        mask: Mask,
        position: Position | None,
        cache: None,
    ) -> Tensor:
        return torch.zeros_like(query)

    def new_cache(self) -> None:
        """It keeps nothing."""

    def new_memory_cache(self) -> None:
        """It keeps nothing."""
