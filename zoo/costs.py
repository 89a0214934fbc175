"""What a part costs beside its size: floating-point operations, what decoding keeps, how far apart positions stay.

A spec may have one further method beside those of zoo.sizes, which its kind calls with the names that it lists:
    cost(..., batch) -> Cost: of one module, on a batch.
Positions have `bias_flops` besides, of what they do in each attention that they bias; a table of relative vectors that
an attention reads says their number as `n_vectors`.
A part that has none is run once on the meta device under torch's own counter of operations, and what it keeps and how
it brings positions together is then not known.

Counted are the products of matrices and convolutions, a multiplication with its addition being two operations: what
torch.utils.flop_counter counts. Softmax, norms, activations, dropout, look-ups in tables and additions are not. A
causal mask saves nothing, as in that counter, and of a window of r positions all r are counted at the ends of a
sequence too. A product's backward pass has two more of its size, one for each factor's gradient, so training is three
times the forward pass; a raw input (pixels, samples) needs no gradient, so that its first product has one. What follows
a frozen embedding is counted as if that were trained; activations that are computed again to save memory are not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import ceil
from typing import Any

import torch
from torch import Tensor

from registry import Kind, Spec
from zoo.kinds import POSITION, Position
from zoo.masks import Mask
from zoo.sizes import Batch, built, frozen, own_method


@dataclass(frozen=True)
class Order:
    """How a layer grows: with n positions of width d, as in Vaswani et al. 2017, Table 1."""

    complexity: str
    """Operations of a layer."""
    sequential: str
    """Operations that have to follow each other."""
    path: str
    """Longest way between two positions."""
    source: str
    """Who says so."""


TABLE_1 = "Vaswani et al. 2017, Table 1"
ATTENDS = Order("n²·d", "1", "1", TABLE_1)


@dataclass(frozen=True)
class Mixing:
    """How a part brings positions together."""

    order: Order
    n_sequential: int = 1
    """Operations that have to follow each other: 1 where all positions are worked out side by side."""
    n_steps: int = 1
    """Operations on the longest way through one such layer."""
    n_layers: Fraction | None = Fraction(1)
    """Layers of this form that it takes until every output has met every input that its mask allows; of a fraction, as
    where each carries an input r of n - 1 positions far, the whole number above it; None: they never do."""

    @property
    def path(self) -> int | None:
        """The longest way between an input and an output, through as many such layers as it takes; None: no way."""
        return None if self.n_layers is None else self.n_steps * ceil(self.n_layers)


@dataclass(frozen=True)
class Cost:
    """What one module takes."""

    forward: int = 0
    """Operations of a forward pass over the batch."""
    backward: int = 0
    """Those of the backward pass."""
    formula: str = ""
    """`forward` of one sequence, in letters: see zoo.kinds; r a window, P a table's rows, E experts, c a
    chunk, W a width inside, G groups, N a state."""
    cached_per_token: int = 0
    """Values that decoding keeps of each token read: of a cross-attention the memory's."""
    cached: int = 0
    """Values that it keeps of a sequence, however long that is."""
    mixing: Mixing | None = None
    """For what brings positions together."""
    is_known: bool = True
    """Whether a formula says all this; if not, operations alone are known, by counting them."""


NO_PRODUCTS = Cost()


def product(n_vectors: int, n_in: int, n_out: int) -> int:
    """Operations of a linear map of so many vectors."""
    return 2 * n_vectors * n_in * n_out


def trained(forward: int, formula: str, *, n_raw: int = 0, **rest: Any) -> Cost:
    """The cost of products whose factors both have a gradient, but for n_raw of the operations, whose input is raw."""
    return Cost(forward, 2 * forward - n_raw, formula, **rest)


def cost(kind: Kind, spec: Spec, *, batch: Batch, **context: Any) -> Cost:
    """What the part that a spec describes takes on a batch, in the context that its kind names."""
    formula = own_method(spec, "cost")
    if formula is not None:
        return formula(batch=batch, **context)
    return _counted(kind, spec, batch, tuple((name, frozen(value)) for name, value in context.items()))


def bias_flops(position: Spec | None, *, n_heads: int, d_k: int, batch: Batch) -> int:
    """The operations by which positions bias the scores of one attention, by their spec's `bias_flops`, or counted."""
    if position is None or getattr(POSITION.entry(position.type).builder, "bias", None) in (
        None,
        Position.bias,
    ):
        return 0
    formula = own_method(position, "bias_flops")
    if formula is not None:
        return formula(n_heads=n_heads, d_k=d_k, batch=batch)
    return _counted_bias(position, n_heads, d_k, batch)


@lru_cache(maxsize=1024)
def _counted(kind: Kind, spec: Spec, batch: Batch, context: tuple[tuple[str, Any], ...]) -> Cost:
    """The operations of a part that is run for it; none are known of one that does not run without numbers."""
    given = dict(context)
    try:
        part = built(kind, spec, given)
        return _counting(lambda: _called(kind.name, part, spec, given, batch), part)
    except Exception:  # a part of anybody's, which may look at the numbers that the meta device has not
        return Cost(is_known=False)


@lru_cache(maxsize=1024)
def _counted_bias(position: Spec, n_heads: int, d_k: int, batch: Batch) -> int:
    part = built(POSITION, position, {"d_model": n_heads * d_k, "n_heads": n_heads})
    shape = (batch.n_rows, n_heads, batch.length, d_k)

    def run() -> Any:
        q, k = (torch.empty(shape, device="meta") for _ in range(2))
        return part.bias(q, k, scale=1.0, mask=Mask())

    return _counting(run, part).forward


def _counting(run: Callable[[], Any], part: Any) -> Cost:
    # Where there is a GPU torch brings its compiler along with this.
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as forward:
        out = run()
    found = out[0] if isinstance(out, tuple) else out
    if not isinstance(found, Tensor) or not found.requires_grad:
        return Cost(forward.get_total_flops(), is_known=False)
    with FlopCounterMode(display=False) as backward:
        found.sum().backward()
    return Cost(forward.get_total_flops(), backward.get_total_flops(), is_known=False)


def _called(kind: str, part: Any, spec: Spec, given: Mapping[str, Any], batch: Batch) -> Any:
    """What a part gives, called as its kind is, on inputs that have shapes alone."""

    def vectors(n: int) -> Tensor:
        return torch.empty(batch.n_rows, n, given["d_model"], device="meta", requires_grad=True)

    if kind == "model":
        shape = (batch.n_rows, batch.length)
        return part(*(torch.zeros(shape, dtype=torch.int64, device="meta") for _ in part.slots))
    if kind == "attention":
        is_cross = given["role"] == "cross"
        memory = vectors(batch.n_keys) if is_cross else None
        mask = Mask(causal=given["role"] == "causal")
        return part(vectors(batch.length), memory, mask=mask, position=None, cache=None)
    if kind == "mixer":
        mask = Mask(causal=given["role"] == "causal")
        return part(vectors(batch.length), mask=mask, position=None, cache=None)
    if kind == "position":
        return part.embed(vectors(batch.length), mask=Mask())
    if kind == "layout":
        return part(vectors(batch.length), [lambda x: x] * len(given["norms"]))
    if kind == "embedding":
        inputs, _ = spec.example_inputs(1)  # type: ignore[attr-defined]
        n_rows = batch.n_rows * max(1, batch.length // inputs.shape[1]) if inputs.dim() == 2 else batch.n_rows
        return part(inputs.new_empty((n_rows, *inputs.shape[1:]), device="meta"), mask=None, types=None)
    if kind == "head":
        return part(vectors(batch.length), mask=None)
    return part(vectors(batch.length))
