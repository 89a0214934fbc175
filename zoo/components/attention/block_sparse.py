"""Block-sparse attention: windows of three blocks, random blocks, and a first and last block that see and are seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor

from registry import Spec
from zoo.components.heads import Heads, HeadsSpec, Projection, join
from zoo.costs import Cost, Mixing, Order, product
from zoo.kernels import block_sparse
from zoo.kernels.cache import KeyValueCache, MemoryCache
from zoo.kinds import ATTENTION, Position
from zoo.masks import Mask
from zoo.sizes import Batch

_NEAR = 5  # the first, the last, a block and its two neighbours
_ORDER = Order("b·n·d", "1", "1", "Zaheer et al. 2020, section 2")


class BlockSparseAttentionSpec(HeadsSpec):
    type: Literal["block_sparse"] = "block_sparse"
    reads: ClassVar[tuple[str, ...]] = ("rotate",)
    block_size: int = Field(64, ge=1, le=65536)
    """Tokens of a block."""
    n_random: int = Field(3, ge=0, le=1024)
    """Blocks that a block of queries meets beside its own, its neighbours, the first and the last."""
    random: Literal["drawn", "first"] = "drawn"
    """Which those are: drawn once and for all, for each block and head others; or the first block again, which then
    counts 1 + n_random times (transformers' BigBird, where it is not in training)."""
    seed: int = Field(0, ge=0, le=2**31)
    """What they are drawn by: layers with other seeds meet other blocks."""
    scale: float | None = Field(None, gt=0, le=1e3)
    """What scores are multiplied by; None: 1/√d_k."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Probability of dropping an attention weight, in training; the authors' code drops none."""

    @property
    def expected_failures(self) -> Mapping[str, str]:
        """Laws that blocks break; those of whole models are tried with 7 tokens, which may all see each other."""
        why = "blocks are those of the row, padding counted, and so is the last one"
        found = {"padded_tokens_have_no_influence": why}
        return found if self.max_whole >= 7 else {**found, "in_an_encoder_padding_is_ignored": why}

    @property
    def max_whole(self) -> int:
        """The longest sequence in which every token sees all others, in tokens."""
        return block_sparse.max_whole(self.block_size, self.n_random)

    def check(self, *, d_model: int, role: str, position: Spec | None) -> None:
        super().check(d_model=d_model, role=role, position=position)
        if role == "cross":
            raise ValueError("block-sparse attention is within one sequence; use it for self-attention")
        if role == "causal":
            raise ValueError(
                "every token sees the last block of block-sparse attention, which a causal stack may not; use it in "
                "an encoder, or take restricted attention"
            )
        if self.random == "first" and self.seed:
            raise ValueError(f"seed is given ({self.seed}), but random is first, so nothing is drawn")

    def n_parameters(self, *, d_model: int) -> int:
        return self.n_projected(d_model)

    def n_kept(self, *, d_model: int, role: str, position: Spec | None, batch: Batch) -> int:
        if batch.length <= self.max_whole:
            n_scores = self.n_weights_kept(d_model, position, batch, dropout=self.dropout)
            return self.n_kept_with(d_model, role, position, batch, n_scores=n_scores)
        n_between, n_met, n_ends = self._sizes(batch.length)
        d_k, d_v = self.head_sizes(d_model)
        one_head = self.model_copy(update={"n_heads": 1, "d_k": d_k, "d_v": d_v})
        n_rows, b = batch.n_rows * self.n_heads * n_between, self.block_size
        blocks = replace(batch, n_tokens=n_rows * b, length=b, memory_length=n_met)
        ends = replace(batch, n_tokens=batch.n_rows * n_ends, length=n_ends, memory_length=batch.length)
        scores = n_rows * b * one_head.n_weights_kept(d_model, None, blocks, dropout=self.dropout)
        scores += (
            ends.n_tokens * self.n_heads * self.n_weights_kept(d_model, None, ends, dropout=self.dropout)
        )
        gathered = (n_rows * (b + n_met) + ends.n_tokens * self.n_heads) * (d_k + d_v)
        index = 2 * n_rows * (n_met // b) + n_rows * n_met  # int64; the rows' masks
        return self.n_kept_with(d_model, role, position, batch) + int(scores) + gathered + index

    def cost(self, *, d_model: int, role: str, position: Spec | None, batch: Batch) -> Cost:
        if batch.length <= self.max_whole:
            return self.attended(d_model, role, position, batch)
        n_between, n_met, n_ends = self._sizes(batch.length)
        d_k, d_v = self.head_sizes(d_model)
        pairs = n_between * self.block_size * n_met + n_ends * batch.length
        return self.attended(
            d_model,
            role,
            position,
            batch,
            n_seen=0,
            further=product(batch.n_rows * pairs, self.n_heads, d_k + d_v),
            formula=" + 2·T·(7 + n_random)·b·H·(K + Kv)",
            mixing=Mixing(_ORDER, n_layers=Fraction(2)),
        )

    def _sizes(self, length: int) -> tuple[int, int, int]:
        """How many blocks stand between the first and last, keys that each meets, and queries of those two."""
        n_between = -(-length // self.block_size) - 2
        return n_between, (_NEAR + self.n_random) * self.block_size, length - n_between * self.block_size


@ATTENTION.register(
    "block_sparse",
    spec=BlockSparseAttentionSpec,
    examples=[
        {"n_heads": 3, "block_size": 1, "n_random": 1},
        {"n_heads": 2, "d_k": 5, "d_v": 7, "block_size": 1, "n_random": 0, "bias": True},
        {"n_heads": 4, "block_size": 1, "n_random": 1, "random": "first"},
    ],
)
class BlockSparseAttention(Heads):
    """Multi-head self-attention by blocks of tokens, each of which meets a few blocks; time and memory O(T·b).

    The first and the last block see all and are seen by all; each block between sees them, itself, its neighbours and
    n_random others. Up to 5 + 2·n_random blocks everything sees everything, as in the authors' code.

    Source: Zaheer et al. 2020 (BigBird, 2007.14062), section 2 and appendix D; which queries and keys it takes together
        by the code of its authors.
    Differs: random blocks are the same in every batch, and others than in that code.
    Shapes: query [B, T, D] -> [B, T, D]; the last block may be cut.
    Raises: ValueError for a memory, a causal mask, a radius and documents.
    """

    def __init__(
        self,
        *,
        d_model: int,
        n_heads: int,
        d_k: int | None,
        d_v: int | None,
        bias: bool | tuple[Projection, ...],
        block_size: int,
        n_random: int,
        random: Literal["drawn", "first"],
        seed: int,
        scale: float | None,
        dropout: float,
    ) -> None:
        super().__init__(d_model=d_model, n_heads=n_heads, n_kv_heads=None, d_k=d_k, d_v=d_v, bias=bias)
        self.block_size = block_size
        self.n_random = n_random
        self.seed = seed if random == "drawn" else None
        self.scale = self.d_k**-0.5 if scale is None else scale
        self.dropout = dropout

    def forward(
        self,
        query: Tensor,
        memory: Tensor | None = None,
        *,
        mask: Mask,
        position: Position | None,
        cache: KeyValueCache | MemoryCache | None,
    ) -> Tensor:
        if memory is not None or mask.causal or mask.radius is not None:
            raise ValueError("block-sparse attention is within one sequence, to both sides, without a radius")
        if mask.documents is not None:
            raise ValueError(
                "a row's first and last blocks are seen by all: give each document a row of its own"
            )
        q, k, v = self.project(query, None, mask=mask, position=position, cache=None)
        out = block_sparse.attention(
            q,
            k,
            v,
            mask=mask,
            scale=self.scale,
            dropout=self.dropout if self.training else 0.0,
            block_size=self.block_size,
            n_random=self.n_random,
            seed=self.seed,
        )  # [B, H, T, Kv]
        return self.output(join(out))
