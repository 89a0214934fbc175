"""Global and local attention: a window around each token, and a few tokens that see and are seen by all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.components.heads import (
    Heads,
    HeadsSpec,
    Projection,
    adds_bias,
    check_one_axis,
    join,
    kernel_window,
    split,
    windowed,
)
from zoo.costs import Cost, Mixing, Order, product
from zoo.kernels.attention import attend
from zoo.kernels.cache import KeyValueCache, MemoryCache
from zoo.kernels.global_tokens import Places, attend_everywhere, places
from zoo.kernels.linear import Linear
from zoo.kinds import ATTENTION, Position, Role
from zoo.masks import Mask
from zoo.sizes import Batch, linear_size


class GlobalLocalAttentionSpec(HeadsSpec):
    type: Literal["global_local"] = "global_local"
    reads: ClassVar[tuple[str, ...]] = ("rotate", "bias")
    expected_failures: ClassVar[Mapping[str, str]] = {
        "a_radius_hides_what_is_farther": "global tokens see everything, and are seen, whatever the radius",
        "it_exports": "the number of global tokens of a batch is a number of its own, which no graph holds",
    }
    radius: int = Field(ge=0, le=1_000_000)
    """Positions seen on each side of a query, in tokens; in a causal stack only those before it."""
    n_global: int = Field(0, ge=0, le=1_000_000)
    """The first tokens of each sentence that are global, beside those that the model's global_tokens name."""
    scale: float | None = Field(None, gt=0, le=1e3)
    """What scores are multiplied by; None: 1/√d_k."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Probability of dropping an attention weight, in training."""

    @property
    def needs_global_tokens(self) -> bool:
        """Whether its projections for global tokens serve only where the model is told which tokens those are."""
        return self.n_global == 0

    def check(self, *, d_model: int, role: str, position: Spec | None) -> None:
        super().check(d_model=d_model, role=role, position=position)
        check_one_axis(role, "global and local")

    def n_parameters(self, *, d_model: int) -> int:
        further = self.n_projected(d_model) - linear_size(
            self.n_heads * self.head_sizes(d_model)[1], d_model, bias=adds_bias(self.bias, "output")
        )
        return self.n_projected(d_model) + further

    def n_kept(self, *, d_model: int, role: str, position: Spec | None, batch: Batch) -> int:
        d_k, d_v = self.head_sizes(d_model)
        window = kernel_window(self.radius, causal=role == "causal") + 2 * self.n_global
        n_scores = self.n_weights_kept(d_model, position, batch, window=window, dropout=self.dropout)
        kept = self.n_kept_with(d_model, role, position, batch, n_scores=n_scores)
        if not self.n_global:
            return kept
        rows = batch.n_rows * self.n_global * batch.n_keys * self.n_heads  # of global queries
        return kept + rows + batch.n_tokens * self.n_heads * (2 * d_k + 2 * d_v)

    def cost(self, *, d_model: int, role: str, position: Spec | None, batch: Batch) -> Cost:
        window = min(batch.length, (1 if role == "causal" else 2) * self.radius + 1 + self.n_global)
        n_far = max(
            0, batch.length - 1 - self.n_global
        )  # from the first token that is not global to the last
        mixing = windowed(n_far + 1, self.radius)
        if self.n_global and role != "causal" and not (mixing.n_layers and mixing.n_layers <= 2):
            mixing = Mixing(
                Order("(r + g)·n·d", "1", "1", "Beltagy et al. 2020, section 3.1"), n_layers=Fraction(2)
            )
        found = self.attended(d_model, role, position, batch, n_seen=window, mixing=mixing)
        if not self.n_global:
            return found
        d_k, d_v = self.head_sizes(d_model)
        globally = product(batch.n_tokens, d_model, self.n_heads * (2 * d_k + d_v))
        n_global = min(self.n_global, batch.length)
        globally += product(batch.n_rows * n_global * batch.length, self.n_heads, d_k + d_v)
        return replace(
            found,
            forward=found.forward + globally,
            backward=found.backward + 2 * globally,
            formula=f"{found.formula} + 2·T·D·H·(2·K + Kv) + 2·g·T·H·(K + Kv)",
            cached_per_token=2 * found.cached_per_token,
        )


@ATTENTION.register(
    "global_local",
    spec=GlobalLocalAttentionSpec,
    examples=[
        {"n_heads": 3, "radius": 1, "n_global": 1},
        {"n_heads": 2, "d_k": 5, "d_v": 7, "radius": 2, "n_global": 2, "bias": True},
    ],
)
class GlobalLocalAttention(Heads):
    """Multi-head self-attention within a window, from and to global tokens too; these have projections of their own.

    A token sees |i - j| <= radius and the global tokens, all by query, key and value. A global token sees everything,
    by query_global, key_global and value_global. In a causal stack both see what is not after them only. Where the
    window and the global tokens are few beside the length, and nothing biases the scores, time and memory are linear
    in the length.

    Source: Beltagy et al. 2020 (2004.05150), section 3.1.
    Shapes: query [B, T, D] -> [B, T, D]; global tokens are those of the mask, and the first n_global real tokens of
        each document.
    """

    def __init__(
        self,
        *,
        d_model: int,
        n_heads: int,
        d_k: int | None,
        d_v: int | None,
        bias: bool | tuple[Projection, ...],
        radius: int,
        n_global: int,
        scale: float | None,
        dropout: float,
    ) -> None:
        super().__init__(d_model=d_model, n_heads=n_heads, n_kv_heads=None, d_k=d_k, d_v=d_v, bias=bias)
        self.query_global = Linear(d_model, n_heads * self.d_k, bias=adds_bias(bias, "query"))
        self.key_global = Linear(d_model, n_heads * self.d_k, bias=adds_bias(bias, "key"))
        self.value_global = Linear(d_model, n_heads * self.d_v, bias=adds_bias(bias, "value"))
        self.radius = radius
        self.n_global = n_global
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
        if memory is not None:
            raise ValueError("global and local attention is within one sequence: it reads no memory")
        T = query.shape[1]
        mask = self._narrowed(mask, mask.offset + T, query.device)
        q, k, v = self.project(query, None, mask=mask, position=position, cache=None)
        if mask.global_tokens is None and cache is None:
            return self.output(join(self._attend_locally(q, k, v, mask, position)))
        q_global, k_global, v_global = (
            split(project(query), self.n_heads)
            for project in (self.query_global, self.key_global, self.value_global)
        )
        if position is not None:
            q_global = position.rotate(q_global, mask=mask)
            k_global = position.rotate_keys(k_global, mask=mask)
        if isinstance(cache, KeyValueCache):  # a later token may be global, so both kinds are kept
            k, v = cache.append(torch.cat([k, k_global], 1), torch.cat([v, v_global], 1))  # [B, 2·H, S, K]
            (k, k_global), (v, v_global) = k.chunk(2, 1), v.chunk(2, 1)
        out = self._attend_locally(q, k, v, mask, position)  # [B, H, T, Kv]
        if mask.global_tokens is not None:
            found = places(mask, T)
            out = found.put(self._attend_globally(q_global, k_global, v_global, mask, position, found), out)
        return self.output(join(out))

    def roles(self) -> dict[nn.Module, Role]:
        """What the projections are for."""
        return {**super().roles(), self.value_global: "residual_input"}

    def _attend_locally(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Mask, position: Position | None
    ) -> Tensor:
        bias = None if position is None else position.bias(q, k, scale=self.scale, mask=mask)
        dropout = self.dropout if self.training else 0.0
        return attend(q, k, v, mask=mask, scale=self.scale, bias=bias, dropout=dropout)

    def _attend_globally(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Mask, position: Position | None, found: Places
    ) -> Tensor:
        bias = None if position is None else position.bias(q, k, scale=self.scale, mask=mask)
        if bias is not None:
            bias = found.taken(bias.expand(q.shape[0], -1, -1, -1))  # [B, 1 or H, n, S]
        return attend_everywhere(
            found.taken(q),
            k,
            v,
            mask=mask,
            found=found,
            scale=self.scale,
            bias=bias,
            dropout=self.dropout if self.training else 0.0,
        )

    def _narrowed(self, mask: Mask, n_keys: int, device: torch.device) -> Mask:
        """The mask with this window and these global tokens; one object for all layers alike."""

        def make() -> Mask:
            tokens = mask.global_tokens
            if self.n_global:
                first = mask.first_tokens(self.n_global, n_keys, device).expand(mask.batch, -1)
                tokens = first if tokens is None else first | tokens
            return replace(mask.within(self.radius), global_tokens=tokens)

        return mask.once(("global and local", self.radius, self.n_global, n_keys), make)
