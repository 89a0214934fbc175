"""Restricted self-attention: each position sees a neighbourhood only, at a cost linear in the length."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor

from registry import Spec
from zoo.components.attention.multi_head import MultiHeadAttention, MultiHeadSpec
from zoo.components.heads import check_one_axis, kernel_window, windowed
from zoo.costs import Cost
from zoo.kinds import ATTENTION
from zoo.masks import Mask
from zoo.sizes import Batch


class RestrictedAttentionSpec(MultiHeadSpec):
    type: Literal["restricted"] = "restricted"
    reads: ClassVar[tuple[str, ...]] = ("rotate", "bias")
    radius: int = Field(ge=0, le=1_000_000)
    """Positions seen on each side of a query, in tokens; in a causal stack only those before it."""

    def check(self, *, d_model: int, role: str, position: Spec | None) -> None:
        super().check(d_model=d_model, role=role, position=position)
        check_one_axis(role, "restricted")

    def n_parameters(self, *, d_model: int) -> int:
        return self.n_in_heads(d_model)

    def n_kept(self, *, d_model: int, role: str, position: Spec | None, batch: Batch) -> int:
        return self.n_kept_of(
            d_model, role, position, batch, window=kernel_window(self.radius, causal=role == "causal")
        )

    def cost(self, *, d_model: int, role: str, position: Spec | None, batch: Batch) -> Cost:
        window = min(batch.length, (1 if role == "causal" else 2) * self.radius + 1)
        return self.attended(
            d_model,
            role,
            position,
            batch,
            n_kv_heads=self.n_kv_heads,
            n_seen=window,
            mixing=windowed(batch.length, self.radius),
        )


@ATTENTION.register(
    "restricted",
    spec=RestrictedAttentionSpec,
    examples=[{"n_heads": 3, "radius": 2}, {"n_heads": 2, "radius": 1, "soft_cap": 1.3}],
)
class RestrictedAttention(MultiHeadAttention):
    """Multi-head self-attention within |i - j| <= radius, computed in blocks: O(radius·T·D) time, O(T·D) memory.

    Source: Vaswani et al. 2017, section 4 and Table 1; their r is 2·radius + 1.
    Shapes: query [B, T, D] -> [B, T, D].
    """

    def __init__(self, *, radius: int, **inherited: Any) -> None:
        super().__init__(**inherited)
        self.radius = radius

    def narrowed(self, mask: Mask, k: Tensor) -> Mask:
        return mask.within(self.radius)
