"""What mixers share that read a memory: a vector of it to start from, and what is kept of it in a search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from torch import Tensor

from zoo.kernels.cache import CrossCache
from zoo.masks import Mask

End = Literal["first", "last"]


class ReadingCache:
    """What such a mixer keeps: of the tokens so far, a row each, and of the memory, a row a sentence."""

    def __init__(
        self, own: Any, read: CrossCache | None = None, *, inside: Sequence[CrossCache] = ()
    ) -> None:
        self.own = own
        """What is kept of the tokens so far, a Cache; None: nothing."""
        self.read = read
        """What an attention keeps of the memory."""
        self.inside = inside
        """What parts within keep of it besides."""

    def reorder(self, rows: Tensor) -> None:
        """New row i continues old row rows[i]: rows int64 [M]. The memory stays: see `select`."""
        if self.own is not None:
            self.own.reorder(rows)

    def select(self, sentences: Tensor) -> None:
        """Keeps these sentences of the memory, in this order: int64 [M]."""
        for held in (self.read, *self.inside):
            if held is not None:
                held.select(sentences)


def end_of(memory: Tensor, mask: Mask | None, end: End, n_rows: int) -> Tensor:
    """The first or last real vector of a memory [B, S, D], zeros where there is none, once for each row of a sentence:
    [n_rows, D]."""
    keys = None if mask is None else mask.keys
    if keys is None:
        found = memory[:, 0 if end == "first" else -1]
    else:
        keys = keys.expand(len(memory), -1)
        order = keys if end == "first" else keys.flip(1)
        place = order.to(int).argmax(dim=1)  # type: ignore[call-overload]
        place = place if end == "first" else keys.shape[1] - 1 - place
        found = memory.gather(1, place[:, None, None].expand(-1, 1, memory.shape[2])).squeeze(1)
        found = found.masked_fill(~keys.any(dim=1, keepdim=True), 0)
    return found.repeat_interleave(n_rows // len(memory), dim=0)
