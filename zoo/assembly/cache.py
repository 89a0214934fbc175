"""What a stack remembers between the steps of a search: how many tokens it has seen, and what its layers keep.

What a layer's mixer keeps is its own matter: it makes the object, and all that is asked of it here is `reorder`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from zoo.kernels.cache import Cache, CrossCache


class LayerCache:
    """What one layer remembers; None for what keeps nothing, or is not there."""

    def __init__(
        self, *, own: Cache | None, cross_attention: CrossCache | None, of_memory: Sequence[CrossCache]
    ) -> None:
        self.own = own
        """What its self-attention, or its mixer, keeps of the tokens so far."""
        self.cross_attention = cross_attention
        self.of_memory = of_memory
        """Those that keep something of the memory: the cross-attention, and a mixer that reads it."""


class StackCache:
    """What a whole stack remembers, one LayerCache a layer."""

    def __init__(self, layers: Sequence[LayerCache]) -> None:
        self.layers = layers
        self.length = 0
        """Tokens held: the stack counts them, after all its layers have seen them."""
        self.positions: Tensor | None = None
        """Those of the tokens so far, [B, S], where they were given."""

    def take_positions(self, positions: Tensor | None, *, name: str) -> None:
        """Keeps the positions of the tokens so far, the new ones included; name is what the call has for them.

        Raises: ValueError where the keys held were counted by others, which on a CPU is looked at.
        """
        if self.length and (positions is None) != (self.positions is None):
            gone = "not given now" if positions is None else "given only now"
            raise ValueError(f"{name} are {gone}: give those of all tokens so far in every step, or in none")
        if self.length and positions is not None and self.positions is not None:
            known = positions.device.type == "cpu" and not torch.compiler.is_compiling()
            if known and not torch.equal(positions[:, : self.length], self.positions):
                raise ValueError(f"{name} of the {self.length} tokens held are others than before")
        self.positions = positions

    def reorder(self, rows: Tensor) -> None:
        """New row i continues old row rows[i]: rows int64 [M]. The memory stays: see `select`."""
        if self.positions is not None:
            self.positions = self.positions[rows]
        for layer in self.layers:
            if layer.own is not None:
                layer.own.reorder(rows)

    def select(self, sentences: Tensor) -> None:
        """Keeps these sentences of the memory: int64 [M]. Rows stay: call `reorder` for them too."""
        for layer in self.layers:
            for held in layer.of_memory:
                held.select(sentences)
