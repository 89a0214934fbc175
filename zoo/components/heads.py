"""What attentions with heads begin and end with: projections, the caches between, and rows of one sentence together."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.costs import ATTENDS, TABLE_1, Cost, Mixing, Order, bias_flops, product, trained
from zoo.kernels.cache import KeyValueCache, MemoryCache
from zoo.kernels.linear import Linear, copies_weights, lay_together, linears
from zoo.kinds import POSITION, Position, PositionSpec, Role
from zoo.masks import Mask
from zoo.sizes import Batch, dividing, linear_size, n_parameters

# Tokens of a sequence up to which plain products, which keep the weights, may be the fastest kernel of a CPU, and in
# bfloat16; those that they fill a shorter one up to; and the scores that they pay from: see zoo.kernels.
_SHORT, _SHORT_HALF, _NARROW, _FEW_SCORES = 48, 512, 16, 4096
FLEX_KEYS = 1024  # from which windows are a GPU's own kernel's, which keeps none
Projection = Literal["query", "key", "value", "output"]


class HeadsSpec(Spec):
    """Fields shared by the attentions with heads."""

    n_heads: int = Field(8, ge=1, le=1024)
    """Parallel heads."""
    d_k: int | None = Field(None, ge=1, le=65536)
    """Size of a query and a key per head; None: d_model / n_heads."""
    d_v: int | None = Field(None, ge=1, le=65536)
    """Size of a value per head; None: d_k."""
    bias: bool | tuple[Projection, ...] = False
    """Which of the four projections add a bias: all, none (the paper's formulas have none), or those named."""

    def check(self, *, d_model: int, role: str, position: Spec | None) -> None:
        if self.d_k is None and d_model % self.n_heads:
            some = dividing(self.n_heads, d_model)
            raise ValueError(
                f"n_heads ({self.n_heads}) must divide d_model ({d_model}), {some}, or d_k be given"
            )

    def head_sizes(self, d_model: int) -> tuple[int, int]:
        """K and Kv."""
        d_k = self.d_k or d_model // self.n_heads
        return d_k, self.d_v or d_k

    def n_projected(self, d_model: int, n_kv_heads: int | None = None) -> int:
        """The parameters of the four projections, the keys and values having so many heads."""
        H, G, (d_k, d_v) = self.n_heads, n_kv_heads or self.n_heads, self.head_sizes(d_model)
        sizes: list[tuple[Projection, int]] = [("query", H * d_k), ("key", G * d_k), ("value", G * d_v)]
        found = linear_size(H * d_v, d_model, bias=adds_bias(self.bias, "output"))
        return found + sum(linear_size(d_model, n, bias=adds_bias(self.bias, name)) for name, n in sizes)

    def n_kept_with(
        self,
        d_model: int,
        role: str,
        position: Spec | None,
        batch: Batch,
        *,
        n_kv_heads: int | None = None,
        n_scores: float = 0,
    ) -> int:
        """What is kept of the input, queries, keys, values and output, n_scores numbers a head and query, and weights
        that are copied to be multiplied as one.
        """
        H, G, (d_k, d_v) = self.n_heads, n_kv_heads or self.n_heads, self.head_sizes(d_model)
        n_keys = batch.n_rows * batch.n_keys
        kept = batch.n_tokens * (d_model + H * (d_k + d_v) + int(H * n_scores)) + n_keys * G * (d_k + d_v)
        sizes: dict[Projection, int] = {"query": H * d_k, "key": G * d_k, "value": G * d_v}
        if role == "cross":  # which are one product stands in `Heads.project`
            del sizes["query"]
        elif has_hook(position, "rotate"):
            del sizes["value"]
        agree = len({adds_bias(self.bias, name) for name in sizes}) == 1
        n_weights = d_model * sum(sizes.values())
        copies = (
            batch.is_on_cpu
            and not batch.is_half
            and copies_weights(n_keys, d_model, n_weights // d_model, learns=True)
        )
        return kept + (n_weights if agree and copies else 0)

    def n_weights_kept(
        self,
        d_model: int,
        position: Spec | None,
        batch: Batch,
        *,
        window: int | None = None,
        dropout: float = 0.0,
        keeps_all: bool = False,
    ) -> float:
        """The numbers of each head and query that its kernel keeps beside its inputs, as zoo.kernels.attention chooses:
        of a kernel that makes the weights again their sum alone, and where such a kernel takes a bias, that.
        """
        T, S, (d_k, d_v) = batch.length, batch.n_keys, self.head_sizes(d_model)
        dropped = 1.25 if dropout else 1.0  # with a byte for each weight, whether it stays
        biases = has_hook(position, "bias")
        is_blocked = batch.is_on_cpu or (dropout > 0 and S >= FLEX_KEYS)
        if window is not None and 2 * window <= S and is_blocked and not biases:
            return (dropped - 1) * window + (window if window <= 2 * (d_k + d_v) else 0)
        context = {"d_model": d_model, "n_heads": self.n_heads}
        learns_bias = biases and position is not None and n_parameters(POSITION, position, **context) > 0
        is_unfused = dropout > 0 or learns_bias or d_k != d_v
        most = _SHORT_HALF if batch.is_half else _SHORT
        is_short = most**2 >= T * S and batch.n_rows * self.n_heads * T * S >= _FEW_SCORES
        if keeps_all or (batch.is_on_cpu and (is_unfused or is_short)):
            return dropped * max(S, _NARROW)
        return 1 + (S / batch.n_rows if biases else 0)

    def attended(
        self,
        d_model: int,
        role: str,
        position: Spec | None,
        batch: Batch,
        *,
        n_kv_heads: int | None = None,
        n_seen: int | None = None,
        further: int = 0,
        formula: str = "",
        mixing: Mixing | None = None,
    ) -> Cost:
        """The cost of projections, of scores and weighted values with n_seen keys a query, by default all, and of what
        is said to come besides; decoding keeps the keys and values of what is written, and of a memory.
        """
        H, G, (d_k, d_v) = self.n_heads, n_kv_heads or self.n_heads, self.head_sizes(d_model)
        seen = batch.n_keys if n_seen is None else n_seen
        projected = product(batch.n_tokens, d_model, H * (d_k + d_v))
        projected += product(batch.n_rows * batch.n_keys, d_model, G * (d_k + d_v))
        met = product(batch.n_tokens * seen, H, d_k + d_v)
        biased = bias_flops(position, n_heads=H, d_k=d_k, batch=batch)
        scores = {None: " + 2·T·S·H·(K + Kv)", 0: ""}.get(n_seen, " + 2·T·r·H·(K + Kv)")
        biases = " + positions' bias" if biased else ""
        return trained(
            projected + met + biased + further,
            f"2·D·(T·H + S·G)·(K + Kv){scores}{formula}{biases}",
            cached_per_token=0 if role == "self" else G * (d_k + d_v),
            mixing=mixing or Mixing(ATTENDS),
        )


class Heads(nn.Module):
    """Projections to queries, keys and values of several heads, and back.

    Source: Vaswani et al. 2017, section 3.2.2.
    Shapes: [B, T, D] -> q [B, H, T, K], k [B, G, S, K], v [B, G, S, Kv]; [B, H, T, Kv] -> [B, T, D].
    """

    def __init__(
        self,
        *,
        d_model: int,
        n_heads: int,
        n_kv_heads: int | None,
        d_k: int | None,
        d_v: int | None,
        bias: bool | tuple[Projection, ...],
    ) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.n_kv_heads = n_kv_heads or n_heads
        self.d_k = d_k or d_model // n_heads
        self.d_v = d_v or self.d_k
        self.query = Linear(d_model, n_heads * self.d_k, bias=adds_bias(bias, "query"))
        self.key = Linear(d_model, self.n_kv_heads * self.d_k, bias=adds_bias(bias, "key"))
        self.value = Linear(d_model, self.n_kv_heads * self.d_v, bias=adds_bias(bias, "value"))
        self.output = Linear(n_heads * self.d_v, d_model, bias=adds_bias(bias, "output"))
        lay_together(self.query, self.key, self.value)

    def roles(self) -> dict[nn.Module, Role]:
        """What the projections are for."""
        return {self.value: "residual_input", self.output: "residual_output"}

    def new_cache(self) -> KeyValueCache:
        """What self-attention keeps of an empty sequence."""
        return KeyValueCache()

    def new_memory_cache(self) -> MemoryCache:
        """What cross-attention keeps before it has read the memory."""
        return MemoryCache()

    def norm_queries(self, q: Tensor) -> Tensor:
        """[B, H, T, K] -> [B, H, T, K], before positions turn them."""
        return q

    def norm_keys(self, k: Tensor) -> Tensor:
        """[B, G, S, K] -> [B, G, S, K], before positions turn them."""
        return k

    def project(
        self,
        query: Tensor,
        memory: Tensor | None,
        *,
        mask: Mask,
        position: Position | None,
        cache: KeyValueCache | MemoryCache | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries of `query`; keys and values of it or of the memory, with those that the cache holds.

        With a MemoryCache the queries may be [B·n, T, D], n rows a sentence, beside k and v [B, G, S, K]: see `fold`.
        """
        if isinstance(cache, MemoryCache) and cache.keys is not None and cache.values is not None:
            return self.norm_queries(split(self.query(query), self.n_heads)), cache.keys, cache.values
        if memory is not None:
            q, (k, v) = self.query(query), linears(memory, self.key, self.value)
        elif position is None or not getattr(position, "turns", True):
            q, k, v = linears(query, self.query, self.key, self.value)
        else:  # turned, q and k are others: values in their memory would keep it to the backward pass
            (q, k), v = linears(query, self.query, self.key), self.value(query)
        q, k = self.norm_queries(split(q, self.n_heads)), self.norm_keys(split(k, self.n_kv_heads))
        v = split(v, self.n_kv_heads)
        if position is not None:
            q, k = position.rotate(q, mask=mask), position.rotate_keys(k, mask=mask)
        if isinstance(cache, KeyValueCache):
            k, v = cache.append(k, v)
        elif cache is not None:
            cache.keys, cache.values = k, v
        return q, k, v


def kernel_window(radius: int, *, causal: bool) -> int:
    """Keys that a block of queries meets in the kernel of windows: see zoo.kernels.blocked."""
    return (1 if causal else 2) * -(-radius // 8) * 8 + 32


def windowed(length: int, radius: int) -> Mixing:
    """How a window of that radius brings the positions of a sequence together."""
    order = Order("r·n·d", "1", "n/r", TABLE_1)
    if not radius:
        return Mixing(order, n_layers=None if length > 1 else Fraction(1))
    return Mixing(order, n_layers=max(Fraction(1), Fraction(length - 1, radius)))


def check_one_axis(role: str, attention: str) -> None:
    """Raises ValueError for a memory, where distances between queries and keys mean nothing."""
    if role == "cross":
        raise ValueError(
            f"{attention} attention needs queries and keys on one axis; use it for self-attention"
        )


def adds_bias(bias: bool | tuple[Projection, ...], name: Projection) -> bool:
    """Whether the projection of that name adds a bias."""
    return bias if isinstance(bias, bool) else name in bias


def split(x: Tensor, n_heads: int) -> Tensor:
    """[B, T, H·K] -> [B, H, T, K]."""
    B, T, _ = x.shape
    return x.view(B, T, n_heads, -1).transpose(1, 2)


def join(x: Tensor) -> Tensor:
    """[B, H, T, K] -> [B, T, H·K]."""
    return x.transpose(1, 2).flatten(2)


def fold(q: Tensor, n_sentences: int) -> Tensor:
    """Several rows a sentence, as in a beam search, become more queries of it: [B·n, H, T, K] -> [B, H, n·T, K]."""
    rows, H, T, K = q.shape
    if rows == n_sentences:
        return q
    q = q.view(n_sentences, rows // n_sentences, H, T, K).transpose(1, 2)
    return q.reshape(n_sentences, H, -1, K)


def unfold(out: Tensor, n_rows: int) -> Tensor:
    """Back from `fold`: [B, H, n·T, K] -> [B·n, H, T, K]."""
    B, H, _, K = out.shape
    if n_rows == B:
        return out
    return out.view(B, H, n_rows // B, -1, K).transpose(1, 2).reshape(n_rows, H, -1, K)


def has_hook(position: Spec | None, name: str) -> bool:
    """Whether a position does anything by the method of that name: "rotate", "bias" or one of its own."""
    if position is None:
        return False
    own = getattr(POSITION.entry(position.type).builder, name, None)
    if own is None or own is getattr(Position, name, None):
        return False
    asked = position.part_with(name) if isinstance(position, PositionSpec) else position
    return asked is position or has_hook(asked, name)
