"""Chunked self-attention: a sequence falls into pieces of one length, and nothing is seen beyond one's own."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor

from registry import Spec
from zoo.components.attention.multi_head import MultiHeadAttention, MultiHeadSpec
from zoo.components.heads import check_one_axis, kernel_window
from zoo.costs import Cost, Mixing, Order
from zoo.kinds import ATTENTION
from zoo.masks import Mask
from zoo.sizes import Batch


class ChunkedAttentionSpec(MultiHeadSpec):
    type: Literal["chunked"] = "chunked"
    reads: ClassVar[tuple[str, ...]] = ("rotate", "bias")
    expected_failures: ClassVar[Mapping[str, str]] = {
        "a_radius_hides_what_is_farther": "chunks are counted from the first token, so a window alone has others",
    }
    chunk_size: int = Field(ge=1, le=1_000_000_000)
    """Tokens of a chunk; the first begins with the first real token of each document, the last may be shorter."""

    def check(self, *, d_model: int, role: str, position: Spec | None) -> None:
        super().check(d_model=d_model, role=role, position=position)
        check_one_axis(role, "chunked")

    def n_parameters(self, *, d_model: int) -> int:
        return self.n_in_heads(d_model)

    def n_kept(self, *, d_model: int, role: str, position: Spec | None, batch: Batch) -> int:
        window = kernel_window(self.chunk_size - 1, causal=role == "causal")
        return self.n_kept_of(d_model, role, position, batch, window=window)

    def cost(self, *, d_model: int, role: str, position: Spec | None, batch: Batch) -> Cost:
        seen = min(batch.length, self.chunk_size)
        order = Order("c·n·d", "1", "1", "Meta 2025 (Llama 4)")
        is_whole = batch.length <= self.chunk_size  # else no number of layers brings two chunks together
        return self.attended(
            d_model,
            role,
            position,
            batch,
            n_kv_heads=self.n_kv_heads,
            n_seen=seen,
            mixing=Mixing(order, n_layers=Fraction(1) if is_whole else None),
        )


@ATTENTION.register(
    "chunked",
    spec=ChunkedAttentionSpec,
    examples=[
        {"n_heads": 3, "chunk_size": 4},
        {"n_heads": 4, "n_kv_heads": 2, "chunk_size": 3, "bias": True, "soft_cap": 1.3},
    ],
)
class ChunkedAttention(MultiHeadAttention):
    """Multi-head self-attention within chunks: token i sees those j with ⌊i / c⌋ = ⌊j / c⌋.

    Positions are those of the whole sequence. Computed in blocks, as a window that ends at a chunk's borders:
    O(c·T·D) time, O(T·D) memory. Tokens of two chunks meet by other layers alone.

    Source: Meta 2025 (Llama 4, its layers with rotary positions), by the published code.
    Shapes: query [B, T, D] -> [B, T, D].
    """

    def __init__(self, *, chunk_size: int, **inherited: Any) -> None:
        super().__init__(**inherited)
        self.chunk_size = chunk_size

    def narrowed(self, mask: Mask, k: Tensor) -> Mask:
        return mask.in_chunks(self.chunk_size, k.shape[2], k.device)
