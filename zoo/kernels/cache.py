"""What mixers remember between the steps of a search: keys and values of the tokens so far, a state, the memory's.

A row is one sequence under way. A sentence is one row of the encoder's memory; in a beam search the rows of a
sentence stand next to each other. Memory keys and values are held once per sentence, whatever the beam size.
Tensors are written in place, so nothing here is differentiable.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

_FIRST_CAPACITY = 32


class Cache(Protocol):
    """What a mixer of any kind remembers of the tokens so far, in whatever form."""

    def reorder(self, rows: Tensor) -> None:
        """New row i continues old row rows[i]: rows int64 [M], M may differ from the rows held."""
        ...


class CrossCache(Protocol):
    """What a cross-attention remembers of the memory."""

    def select(self, sentences: Tensor) -> None:
        """Keeps these sentences, in this order: int64 [M]."""
        ...


class KeyValueCache:
    """Keys and values of one self-attention for the tokens so far, growing at the end.

    Kept as [N, G, capacity, K], N rows and G key heads: a new token is one write, and what `append` returns
    has the strides of a batch of N·G matrices, so no kernel needs to copy it.
    """

    def __init__(self) -> None:
        self.length = 0
        """Tokens held."""
        self._keys: Tensor | None = None  # [N, G, capacity, K]
        self._values: Tensor | None = None  # [N, G, capacity, Kv]

    def append(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Adds k [N, G, t, K] and v [N, G, t, Kv]; returns all so far: [N, G, S, K] and [N, G, S, Kv].

        What is returned are views into the cache, valid until the next append or reorder. S is `length`.
        """
        start, stop = self.length, self.length + k.shape[2]
        self._keys = _with_room(self._keys, k, start, stop)
        self._values = _with_room(self._values, v, start, stop)
        self._keys[:, :, start:stop] = k
        self._values[:, :, start:stop] = v
        self.length = stop
        return self._keys[:, :, :stop], self._values[:, :, :stop]

    def reorder(self, rows: Tensor) -> None:
        """New row i continues old row rows[i]: rows int64 [M], M may differ from N."""
        if self._keys is not None and self._values is not None:
            move = Move(rows, n_held=self._keys.shape[0])
            self._keys = _moved(self._keys, self.length, move)
            self._values = _moved(self._values, self.length, move)


class StateCache:
    """The state of a mixer whose size does not grow with the tokens: tensors with one row a sequence each."""

    def __init__(self) -> None:
        self.state: tuple[Tensor, ...] | None = None
        """Tensors [N, ...], set by the mixer at each call and never written into; None before the first."""

    def reorder(self, rows: Tensor) -> None:
        """New row i continues old row rows[i]: rows int64 [M], M may differ from N."""
        if self.state is not None:
            self.state = tuple(tensor.index_select(0, rows) for tensor in self.state)


class MemoryCache:
    """Keys [B, G, S, K] and values [B, G, S, Kv] of the memory, set by a cross-attention at its first call.

    The cache owns the two tensors: `select` may write into them.
    """

    def __init__(self) -> None:
        self.keys: Tensor | None = None
        self.values: Tensor | None = None

    def select(self, sentences: Tensor) -> None:
        """Keeps these sentences, in this order: int64 [M]."""
        if self.keys is not None and self.values is not None:
            move = Move(sentences, n_held=self.keys.shape[0])
            self.keys = move.apply(self.keys)
            self.values = move.apply(self.values)


class Move:
    """A change of rows, looked at once and then applied to every tensor of a cache.

    On CPU only the rows that change are copied. Elsewhere asking which ones change would wait for the device,
    and copying is cheap: all rows are taken anew.
    """

    def __init__(self, rows: Tensor, *, n_held: int) -> None:
        self.n_rows = rows.shape[0]
        self.in_place = rows.device.type == "cpu" and self.n_rows <= n_held
        self.taken = rows
        if self.in_place:
            self.changed = (rows != torch.arange(self.n_rows)).nonzero().squeeze(1)
            self.taken = rows[self.changed]

    def apply(self, held: Tensor) -> Tensor:
        """held [N, ...] -> [M, ...], sharing memory with `held` if in place."""
        if not self.in_place:
            return held.index_select(0, self.taken)
        if self.taken.shape[0]:
            # All rows are read before the first is written, so a row may be both taken and changed.
            held.index_copy_(0, self.changed, held.index_select(0, self.taken))
        return held[: self.n_rows]


def _moved(held: Tensor, length: int, move: Move) -> Tensor:
    """`held` [N, G, capacity, K] with its rows changed; only the first `length` positions are copied."""
    used = move.apply(held[:, :, :length])
    if move.in_place:
        return held[: move.n_rows]
    moved = held.new_empty(move.n_rows, *held.shape[1:])
    moved[:, :, :length] = used
    return moved


def _with_room(held: Tensor | None, new: Tensor, length: int, needed: int) -> Tensor:
    """`held` [N, G, capacity, K], or a larger copy if `needed` tokens like new [N, G, t, K] need it."""
    if held is not None and needed <= held.shape[2]:
        return held
    n_rows, n_heads, _, size = new.shape
    grown = new.new_empty(n_rows, n_heads, max(needed, _FIRST_CAPACITY, 2 * length), size)
    if held is not None:
        grown[:, :, :length] = held[:, :, :length]
    return grown
