"""Disentangled attention: content meets content, and each also meets relative positions, in scores of their own."""

from __future__ import annotations

from typing import Literal, Protocol, runtime_checkable

import torch
from pydantic import Field
from torch import Tensor

from registry import Spec
from zoo.components.heads import (
    Heads,
    HeadsSpec,
    Projection,
    adds_bias,
    check_one_axis,
    has_hook,
    join,
    split,
)
from zoo.costs import Cost, product
from zoo.kernels.attention import attend
from zoo.kernels.cache import KeyValueCache, MemoryCache
from zoo.kernels.dropout import dropout as drop
from zoo.kernels.linear import Linear
from zoo.kinds import ATTENTION, Position
from zoo.masks import Mask
from zoo.sizes import Batch, linear_size

Term = Literal["c2p", "p2c"]


@runtime_checkable
class RelativeVectors(Protocol):
    """What this attention reads from the positions of its stack."""

    def vectors(self) -> Tensor:
        """The vector of each relative position: [P, D]."""
        ...

    def buckets(self, mask: Mask, T: int, S: int, device: torch.device) -> Tensor:
        """The row of `vectors` for each query and key: int64 [T, S]."""
        ...


class DisentangledAttentionSpec(HeadsSpec):
    type: Literal["disentangled"] = "disentangled"
    position_terms: tuple[Term, ...] = ("c2p", "p2c")
    """Scores with positions: c2p, of queries with the keys of positions, and p2c, of keys with queries of positions."""
    share_key: bool = False
    """Whether positions are projected as contents are, by query and key; else by matrices of their own."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Probability of dropping an attention weight, in training."""
    position_dropout: float = Field(0.0, ge=0, lt=1)
    """Probability of dropping a value of the relative vectors before this layer projects them, in training."""

    @property
    def reads(self) -> tuple[str, ...]:
        """The methods of a position that it calls."""
        return ("rotate", "bias", *(("vectors", "buckets") if self.position_terms else ()))

    def check(self, *, d_model: int, role: str, position: Spec | None) -> None:
        super().check(d_model=d_model, role=role, position=position)
        check_one_axis(role, "disentangled")
        if len(set(self.position_terms)) < len(self.position_terms):
            raise ValueError(f"position_terms names one twice: {', '.join(self.position_terms)}")
        if self.position_terms and not (has_hook(position, "vectors") and has_hook(position, "buckets")):
            given = "none" if position is None else position.type
            raise ValueError(
                f"position_terms ({', '.join(self.position_terms)}) read a table of relative positions: give the stack "
                f"position: relative_embeddings, not {given}, or no position_terms"
            )

    def n_parameters(self, *, d_model: int) -> int:
        size, found = self.n_heads * self.head_sizes(d_model)[0], self.n_projected(d_model)
        projections: dict[Term, Projection] = {"c2p": "key", "p2c": "query"}
        for term in () if self.share_key else self.position_terms:
            found += linear_size(d_model, size, bias=adds_bias(self.bias, projections[term]))
        return found

    def n_kept(self, *, d_model: int, role: str, position: Spec | None, batch: Batch) -> int:
        d_k, n_vectors = self.head_sizes(d_model)[0], getattr(position, "n_vectors", 0)
        weights = self.n_weights_kept(d_model, None, batch, dropout=self.dropout, keeps_all=True)
        found = self.n_kept_with(d_model, role, position, batch, n_scores=weights)
        # Of each term: the projected vectors, once more for each sentence, products with them, and its factor.
        of_term = (batch.n_rows * n_vectors + batch.n_tokens) * self.n_heads * d_k
        of_term += batch.n_tokens * self.n_heads * n_vectors
        return found + len(self.position_terms) * of_term

    def cost(self, *, d_model: int, role: str, position: Spec | None, batch: Batch) -> Cost:
        n_vectors, size = getattr(position, "n_vectors", 0), self.n_heads * self.head_sizes(d_model)[0]
        of_term = product(n_vectors, d_model, size) + product(batch.n_tokens, size, n_vectors)
        return self.attended(
            d_model,
            role,
            position,
            batch,
            further=len(self.position_terms) * of_term,
            formula=f" + {2 * len(self.position_terms)}·P·H·K·(D + T)",
        )


@ATTENTION.register(
    "disentangled",
    spec=DisentangledAttentionSpec,
    examples=[
        {"n_heads": 3, "bias": True},
        {"n_heads": 2, "d_k": 5, "d_v": 7, "share_key": True},
        {"n_heads": 3, "position_terms": ("p2c",), "bias": ("query", "value", "output")},
        {"n_heads": 3, "position_terms": ("c2p",), "position_dropout": 0.2},
        {"n_heads": 2, "position_terms": ()},
    ],
)
class DisentangledAttention(Heads):
    """softmax((q kᵀ + c2p + p2c) · scale) v: contents also meet relative positions, as keys and as queries.

    c2p[i, j] = q_i · K_r[δ] and p2c[i, j] = k_j · Q_r[δ], with δ the relative position of i and j. K_r and Q_r are the
    stack's relative vectors, projected by position_key and position_query, which add a bias where key and query do, or
    by key and query themselves. The scale is 1/√(d_k · (1 + number of position terms)).

    Source: He et al. 2021 (2006.03654), equations 2 to 4; share_key (share_att_key) as in v2 and v3, and the dropout of
        the relative vectors, by the authors' code.
    Shapes: query [B, T, D] -> [B, T, D]; the vectors [P, D] and their rows [T, S] come from `position`.
    Raises: ValueError for a position without such vectors, where terms read them.
    """

    def __init__(
        self,
        *,
        d_model: int,
        n_heads: int,
        d_k: int | None,
        d_v: int | None,
        bias: bool | tuple[Projection, ...],
        position_terms: tuple[Term, ...],
        share_key: bool,
        dropout: float,
        position_dropout: float,
    ) -> None:
        super().__init__(d_model=d_model, n_heads=n_heads, n_kv_heads=None, d_k=d_k, d_v=d_v, bias=bias)
        self.position_terms = position_terms
        size = n_heads * self.d_k
        self.position_key = self.position_query = None
        if "c2p" in position_terms and not share_key:
            self.position_key = Linear(d_model, size, bias=adds_bias(bias, "key"))
        if "p2c" in position_terms and not share_key:
            self.position_query = Linear(d_model, size, bias=adds_bias(bias, "query"))
        self.scale = (self.d_k * (1 + len(position_terms))) ** -0.5
        self.dropout = dropout
        self.position_dropout = position_dropout

    def forward(
        self,
        query: Tensor,
        memory: Tensor | None = None,
        *,
        mask: Mask,
        position: Position | None,
        cache: KeyValueCache | MemoryCache | None,
    ) -> Tensor:
        q, k, v = self.project(query, memory, mask=mask, position=position, cache=cache)
        bias = None if position is None else position.bias(q, k, scale=self.scale, mask=mask)
        if self.position_terms:
            scores = self._position_scores(q, k, mask, position) * self.scale
            bias = scores if bias is None else bias + scores
        dropout = self.dropout if self.training else 0.0
        out = attend(q, k, v, mask=mask, scale=self.scale, bias=bias, dropout=dropout)  # [B, H, T, Kv]
        return self.output(join(out))

    def _position_scores(self, q: Tensor, k: Tensor, mask: Mask, position: Position | None) -> Tensor:
        """c2p + p2c, unscaled: q [B, H, T, K], k [B, H, S, K] -> [B, H, T, S]."""
        if not isinstance(position, RelativeVectors):
            raise ValueError(
                f"position_terms need relative_embeddings as positions, not {type(position).__name__}"
            )
        (B, H, T, _), S = q.shape, k.shape[2]
        vectors = drop(position.vectors()[None], self.position_dropout, training=self.training)  # [1, P, D]
        rows = position.buckets(mask, T, S, q.device)  # [T, S]
        scores = q.new_zeros(())
        if "c2p" in self.position_terms:
            keys = split((self.position_key or self.key)(vectors), H)  # [1, H, P, K]
            scores = scores + (q @ keys.transpose(2, 3)).gather(3, rows.expand(B, H, T, S))
        if "p2c" in self.position_terms:
            queries = split((self.position_query or self.query)(vectors), H)  # [1, H, P, K]
            met = (k @ queries.transpose(2, 3)).gather(3, rows.T.expand(B, H, S, T))  # [B, H, S, T]
            scores = scores + met.transpose(2, 3)
        return scores
