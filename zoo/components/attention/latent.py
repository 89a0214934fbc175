"""Latent attention: keys and values of all heads are made of one short vector a token, all that decoding keeps."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from registry import Spec, Within
from zoo.components.heads import join, split
from zoo.costs import ATTENDS, Cost, Mixing, bias_flops, product, trained
from zoo.kernels.attention import attend
from zoo.kernels.cache import KeyValueCache, MemoryCache
from zoo.kernels.linear import Linear
from zoo.kinds import ATTENTION, NORM, Position, Role
from zoo.masks import Mask
from zoo.sizes import Batch, linear_size, n_kept, n_parameters


class LatentAttentionSpec(Spec):
    type: Literal["latent"] = "latent"
    reads: ClassVar[tuple[str, ...]] = ("rotate", "bias")
    n_heads: int = Field(8, ge=1, le=1024)
    """Parallel heads."""
    d_latent: int = Field(512, ge=1, le=65536)
    """Width of the vector that keys and values are made of."""
    d_query_latent: int | None = Field(None, ge=1, le=65536)
    """Width of a vector that queries are made of; None: they are made of the input."""
    d_content: int = Field(128, ge=1, le=65536)
    """Size per head of what queries and keys say of content, which no position turns."""
    d_rotated: int = Field(64, ge=1, le=65536)
    """Size of what positions turn: of each head in queries, one for all heads in keys."""
    d_v: int = Field(128, ge=1, le=65536)
    """Size of a value per head."""
    norm: Annotated[Spec, NORM] = Field("rms_norm", validate_default=True)
    """Over each of the two vectors."""
    bias: bool = False
    """Whether the products that lead to the two vectors, and the last one, add a bias."""
    scale: float | None = Field(None, gt=0, le=1e3)
    """What scores are multiplied by; None: 1/√(d_content + d_rotated)."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Probability of dropping an attention weight in training."""

    def check(self, *, d_model: int, role: str, position: Spec | None) -> None:
        if role == "cross":
            raise ValueError("latent attention makes keys of its own sequence; use it for self-attention")
        if position is not None and "d_k" in type(position).model_fields:
            text = "takes queries of d_rotated, the part that is turned; latent attention scores the whole: take rotary"
            raise ValueError(f"{position.type} {text}")
        if position is not None and getattr(position, "is_of_whole_heads", False):
            raise ValueError(
                f"{position.type} is for whole queries; latent attention turns a part: take rotary"
            )

    def contexts(self, *, d_model: int, **rest: Any) -> dict[str, Any]:
        return {"norm": Within({"d_model": self.d_latent}, n_times=0)}

    @property
    def d_query(self) -> int:
        """Size of a query and a key per head."""
        return self.d_content + self.d_rotated

    def n_parameters(self, *, d_model: int) -> int:
        H, R, Q = self.n_heads, self.d_latent, self.d_query_latent
        found = linear_size(d_model, R + self.d_rotated, bias=self.bias)
        found += R * H * (self.d_content + self.d_v) + n_parameters(NORM, self.norm, d_model=R)
        found += linear_size(H * self.d_v, d_model, bias=self.bias)
        if Q is None:
            return found + d_model * H * self.d_query
        queries = linear_size(d_model, Q, bias=self.bias) + n_parameters(NORM, self.norm, d_model=Q)
        return found + queries + Q * H * self.d_query

    def n_kept(self, *, d_model: int, role: str, position: Spec | None, batch: Batch) -> int:
        H, latents = self.n_heads, [self.d_latent, *([self.d_query_latent] if self.d_query_latent else [])]
        heads = H * (2 * self.d_query + 2 * self.d_v) + (H * self.d_v if self.d_v != self.d_query else 0)
        found = batch.n_tokens * (d_model + sum(latents) + heads + H * batch.n_keys)
        return found + sum(n_kept(NORM, self.norm, d_model=each, batch=batch) for each in latents)

    def cost(self, *, d_model: int, role: str, position: Spec | None, batch: Batch) -> Cost:
        H, R, Q, T = self.n_heads, self.d_latent, self.d_query_latent, batch.n_tokens
        forward = product(T, d_model, R + self.d_rotated) + product(T, R, H * (self.d_content + self.d_v))
        forward += product(T, H * self.d_v, d_model)
        if Q is None:
            forward += product(T, d_model, H * self.d_query)
        else:
            forward += product(T, d_model, Q) + product(T, Q, H * self.d_query)
        forward += product(T * batch.n_keys, H, self.d_query + self.d_v)
        forward += bias_flops(position, n_heads=H, d_k=self.d_query, batch=batch)
        queries = "D·H·K" if Q is None else "Q·(D + H·K)"
        return trained(
            forward,
            f"2·T·({queries} + D·(R + Kr) + R·H·(Kc + Kv) + H·Kv·D) + 2·T·S·H·(K + Kv)",
            cached_per_token=R + self.d_rotated if role == "causal" else 0,
            mixing=Mixing(ATTENDS),
        )


@ATTENTION.register(
    "latent",
    spec=LatentAttentionSpec,
    examples=[
        {"n_heads": 3, "d_latent": 7, "d_content": 5, "d_rotated": 4, "d_v": 6},
        {
            "n_heads": 2,
            "d_latent": 5,
            "d_query_latent": 9,
            "d_content": 3,
            "d_rotated": 4,
            "d_v": 7,
            "bias": True,
            "scale": 0.4,
        },
    ],
)
class LatentAttention(nn.Module):
    """softmax(q kᵀ · scale) v of several heads, whose k and v are products of norm(x W) with matrices of theirs.

    A key is what it says of content, made of that vector, and beside it one turned vector of the token for all heads.
    Decoding keeps the normalised vector and the turned one: d_latent + d_rotated numbers a token, whatever the heads.

    Source: DeepSeek-AI 2024 (DeepSeek-V2, 2405.04434), section 2.1, equations 9 to 19; norms by their code.
    Differs: keys and values are made anew at each step of a search; the matrices that make them are not absorbed into
        those of queries and output, as the paper proposes for speed.
    Shapes: query [B, T, D] -> [B, T, D].
    Raises: ValueError for a memory.
    """

    def __init__(
        self,
        *,
        d_model: int,
        n_heads: int,
        d_latent: int,
        d_query_latent: int | None,
        d_content: int,
        d_rotated: int,
        d_v: int,
        norm: Spec,
        bias: bool,
        scale: float | None,
        dropout: float,
    ) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.sizes, self.parts = (d_latent, d_rotated), (d_content, d_v)
        self.to_latent = Linear(d_model, d_latent + d_rotated, bias=bias)
        self.latent_norm: nn.Module = NORM.build(norm, d_model=d_latent)
        self.key_value = Linear(d_latent, n_heads * (d_content + d_v), bias=False)
        self.to_query_latent: nn.Module | None = None
        self.query_norm: nn.Module | None = None
        if d_query_latent is not None:
            self.to_query_latent = Linear(d_model, d_query_latent, bias=bias)
            self.query_norm = NORM.build(norm, d_model=d_query_latent)
        self.query = Linear(d_query_latent or d_model, n_heads * (d_content + d_rotated), bias=False)
        self.output = Linear(n_heads * d_v, d_model, bias=bias)
        self.scale = (d_content + d_rotated) ** -0.5 if scale is None else scale
        self.dropout = dropout

    def roles(self) -> dict[nn.Module, Role]:
        """What the projections are for."""
        return {self.key_value: "residual_input", self.output: "residual_output"}

    def new_cache(self) -> KeyValueCache:
        """What it keeps of an empty sequence: short vectors in place of keys, turned ones in place of values."""
        return KeyValueCache()

    def new_memory_cache(self) -> MemoryCache:
        """What it keeps before it has read a memory, which it never does."""
        return MemoryCache()

    def forward(
        self,
        query: Tensor,
        memory: Tensor | None = None,
        *,
        mask: Mask,
        position: Position | None,
        cache: KeyValueCache | None,
    ) -> Tensor:
        if memory is not None:
            raise ValueError("latent attention is within one sequence: it reads no memory")
        latent, turned = self.to_latent(query).split(self.sizes, dim=-1)  # [B, T, R], [B, T, Kr]
        latent, turned = self.latent_norm(latent)[:, None], turned[:, None]  # one head for all
        q = split(self.query(self._query_source(query)), self.n_heads)  # [B, H, T, K]
        if position is not None:
            turned = position.rotate_keys(turned, mask=mask)
            content, own = q.split([self.parts[0], self.sizes[1]], dim=-1)
            q = torch.cat([content, position.rotate(own, mask=mask)], dim=-1)
        if cache is not None:
            latent, turned = cache.append(latent, turned)  # [B, 1, S, R], [B, 1, S, Kr]
        content, v = split(self.key_value(latent[:, 0]), self.n_heads).split(self.parts, dim=-1)
        k = torch.cat([content, turned.expand(-1, self.n_heads, -1, -1)], dim=-1)  # [B, H, S, K]
        bias = None if position is None else position.bias(q, k, scale=self.scale, mask=mask)
        dropout = self.dropout if self.training else 0.0
        return self.output(join(attend(q, k, v, mask=mask, scale=self.scale, bias=bias, dropout=dropout)))

    def _query_source(self, x: Tensor) -> Tensor:
        if self.to_query_latent is None or self.query_norm is None:
            return x
        return self.query_norm(self.to_query_latent(x))
