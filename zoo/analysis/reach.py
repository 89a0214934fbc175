"""How far gradients reach: what is left of one at an input so many tokens away."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from statistics import linear_regression
from typing import Any, Literal

import torch
from torch import Tensor, nn

from registry import Problem, Spec, SpecError
from zoo.analysis.size import parts_of
from zoo.kinds import POSITION, read_slots

ROWS, DIRECTIONS = 4, 16
"""By default: sequences, and directions of the gradient."""

End = Literal["start", "end"]


@dataclass(frozen=True)
class Reach:
    """The norm of the gradient at each distance, from 0 to length - 1."""

    rows: int
    length: int
    directions: int
    median: tuple[float, ...]
    """Over the rows."""
    low: tuple[float, ...]
    """The least of them."""
    high: tuple[float, ...]
    """The most."""
    counted_from: End | None
    """Of an encoder-decoder, the end of the source from which distances are counted; else None."""

    @property
    def factor(self) -> float | None:
        """By what the norm changes with each token, by the exponential that fits the medians of distances 1 and more
        best, 0 left out; None where there are fewer than two of them."""
        points = [(k, math.log(norm)) for k, norm in enumerate(self.median) if k and norm > 0]
        if len(points) < 2:
            return None
        return math.exp(linear_regression(*zip(*points, strict=True)).slope)

    @property
    def factor_text(self) -> str:
        """The same for reading; "" for None."""
        return "" if self.factor is None else f"× {self.factor:#.3g}".rstrip(".")

    def as_dict(self) -> dict[str, Any]:
        """As plain data, for JSON."""
        return {**asdict(self), "factor": self.factor}


def reach(
    spec: Spec,
    model: nn.Module,
    *,
    length: int = 64,
    rows: int = ROWS,
    directions: int = DIRECTIONS,
    seed: int = 0,
) -> Reach:
    """‖∂h_t / ∂x_{t-k}‖ of a model by the distance k, for random tokens.

    spec is the model's, or a run's. x [N, D] are the embedded tokens, before positions are added; h [T, D] are the
    vectors that the head is given. The norm is Frobenius' divided by √D: the root mean square of
    |uᵀ ∂h_t/∂x_{t-k}| over all directions u of length 1, so that a map that keeps lengths has 1, and a·1 has a.
    Of fewer directions than D, random and at right angles to each other, it is taken over these; its square is the
    same in the mean.

    Which h_t: of a decoder the last one. Of an encoder the first and the last, and of both norms at a distance the
    greater, for it may read either way. Of an encoder-decoder the decoder's first, from which the first token is
    written; of the source, distance 0 is the end at which the gradient is greater, which is what a recurrence has read
    last, and distance k is k tokens from there.

    Source: Bengio et al. 1994, "Learning long-term dependencies with gradient descent is difficult", section IV;
        Pascanu et al. 2013, section 2, equation 5: the norm falls or grows exponentially where ∂h_t/∂x_{t-k} is a
        product of k Jacobians of a recurrence.
    Differs: both look at ∂h_t/∂h_{t-k}; a model without a recurrence has inputs but no such states.
    Raises: SpecError for a model that reads no tokens or fewer than length; ValueError for counts below 1.
    """
    if min(length, rows, directions) < 1:
        raise ValueError(f"length ({length}), rows ({rows}) and directions ({directions}) must be at least 1")
    described: Any = getattr(spec, "model", spec)
    if found := problems(described, length=length):
        raise SpecError(found)
    generator = torch.Generator().manual_seed(seed)
    written, read = described.writes, read_slots(described)
    device = next(model.parameters()).device
    inputs = {
        name: torch.randint(
            slot.vocab_size, (rows, 1 if read and name == written else length), generator=generator
        ).to(device)
        for name, slot in described.slots.items()
    }
    name = read[0] if read else written
    # cuDNN's recurrences have a backward pass in training only, in which there would be dropout.
    with _evaluated(model), torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
        x, hidden = _traced(model, inputs, name)
        probes = _probes(directions, hidden.shape[-1], generator).to(hidden)
        norms, counted_from = _by_distance(x, hidden, probes, reads=bool(read), writes=written is not None)
    median, low, high = (
        tuple(each.tolist()) for each in (norms.quantile(0.5, dim=0), norms.amin(0), norms.amax(0))
    )
    return Reach(rows, length, len(probes), median, low, high, counted_from)


def problems(model: Spec, *, length: int) -> list[Problem]:
    """Why gradients cannot be followed through a model over so many tokens."""
    described: Any = model
    found = [
        Problem(
            f"model.{name}",
            f"{slot.type} reads no tokens, whose distances are measured here; take a model whose inputs all are tokens",
        )
        for name, slot in described.slots.items()
        if not hasattr(slot, "vocab_size")
    ]
    reads = bool(read_slots(described))
    for part in parts_of(model):
        max_len = getattr(part.spec, "max_len", None) if part.kind is POSITION else None
        is_short = (
            reads and part.context.get("role") == "causal"
        )  # of an encoder-decoder one token is written
        if max_len is not None and max_len < length and not is_short:
            message = (
                f"{max_len} positions end before a length of {length}; take a length of {max_len} at most"
            )
            found.append(Problem(f"{part.path}.max_len", message))
    return found


def _by_distance(
    x: Tensor, hidden: Tensor, probes: Tensor, *, reads: bool, writes: bool
) -> tuple[Tensor, End | None]:
    """x [B, N, D], hidden [B, T, D] -> norms [B, N] by distance, and the end from which they are counted."""
    if not writes:
        forwards = jacobian_norms(x, hidden[:, -1], probes).flip(1)
        return torch.maximum(forwards, jacobian_norms(x, hidden[:, 0], probes)), None
    if not reads:
        return jacobian_norms(x, hidden[:, -1], probes).flip(1), None
    norms = jacobian_norms(x, hidden[:, 0], probes)
    first, last = (float(norms[:, i].median()) for i in (0, -1))
    return (norms, "start") if first > last else (norms.flip(1), "end")


def jacobian_norms(x: Tensor, h: Tensor, probes: Tensor) -> Tensor:
    """‖∂h / ∂x_i‖ / √D: x [B, N, D], h [B, D] made of it row by row, probes [M, D] of length 1 -> float64 [B, N]."""
    squares = torch.zeros(x.shape[:2], dtype=torch.float64)
    for probe in probes:
        (gradient,) = torch.autograd.grad(h, x, probe.expand_as(h), retain_graph=True)  # [B, N, D]
        squares += gradient.cpu().double().square().sum(dim=-1)  # what float32 holds may have no square in it
    return (squares / len(probes)).sqrt()


def _probes(n: int, d: int, generator: torch.Generator) -> Tensor:
    """Random directions of length 1 at right angles to each other, as many as there are: [min(n, d), d]."""
    return torch.linalg.qr(torch.randn(d, min(n, d), generator=generator, dtype=torch.float64)).Q.T


def _traced(model: Any, inputs: dict[str, Tensor], name: str) -> tuple[Tensor, Tensor]:
    """What a slot embeds [B, N, D], as a leaf, and the vectors [B, T, D] that come of it."""
    leaves: list[Tensor] = []

    def cut(module: nn.Module, given: tuple[Any, ...], output: tuple[Tensor, Any]) -> Any:
        if given[0] is not inputs[name]:  # an embedding that slots share
            return output
        leaves.append(output[0].detach().requires_grad_())
        return leaves[-1], output[1]

    handle = model.slots[name].register_forward_hook(cut)
    try:
        hidden, _ = model.hidden(*inputs.values())
    finally:
        handle.remove()
    (x,) = leaves
    return x, hidden


@contextmanager
def _evaluated(model: nn.Module) -> Iterator[None]:
    """Without dropout, and afterwards as it was."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
