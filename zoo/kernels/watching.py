"""What attentions attend to, for whoever asks: weights by the formula beside what a kernel gave.

Nothing is computed and nothing kept unless somebody watches: a kernel's call then looks at one variable. Watching is
for a model as it was built: a graph of torch.compile or torch.export has no place for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class Watch:
    """The calls seen in the thread that watches, in their order."""

    weights: list[Tensor] = field(default_factory=list)
    """Of each call, before dropout, float32 at least: [B, H, T, S]."""
    differences: list[float] = field(default_factory=list)
    """For each output of a kernel that makes no weights, how far it lies from that of the weights: the largest
    distance, as a share of the largest value of either."""
    dtypes: set[torch.dtype] = field(default_factory=set)
    """Of those outputs."""
    _thread: int = field(default_factory=threading.get_ident)

    def is_here(self) -> bool:
        """Whether this thread is the one that watches."""
        return threading.get_ident() == self._thread


current: Watch | None = None
"""Who watches; None: nobody, as nearly always."""


@contextmanager
def watching(watch: Watch | None) -> Iterator[None]:
    """Lets it, or nobody, see the calls in this block, and whoever watched before those after it."""
    global current
    before, current = current, watch
    try:
        yield
    finally:
        current = before


def seen(weights: Tensor) -> Tensor:
    """The weights themselves, which a part that makes them shows to whoever watches: [B, H, T, S]."""
    if current is not None and current.is_here():
        current.weights.append(weights.detach())
    return weights


def seen_with_output(weights: Tensor, out: Tensor, expected: Tensor) -> None:
    """Shows the weights of a kernel's call, its output, and that of the weights, both [B, H, T, Kv]."""
    if current is None or not current.is_here():
        return
    seen(weights)
    if out.numel():
        out, expected = out.detach(), expected.detach()
        largest = max(float(out.abs().max()), float(expected.abs().max())) or 1.0
        current.dtypes.add(out.dtype)
        current.differences.append(float((out.double() - expected.double()).abs().max()) / largest)


def seen_rows(rows: Tensor, put: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Shows weights that take the place of some rows of the call before: put(rows, weights) -> all weights."""
    if current is not None and current.is_here():
        current.weights[-1] = put(rows.detach(), current.weights[-1])
