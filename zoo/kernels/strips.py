"""The real tokens of each document side by side, for what reads them in order: recurrences, convolutions, transforms.

A mask says which places of a row are real and which document each belongs to. Here every document becomes a strip: its
real tokens without a gap from the start on, zeros after them. So what works on strips needs to know of padding only
that it stands at the end, and nothing crosses from one document to the next.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.masks import Mask


def strips_of(mask: Mask, x: Tensor) -> Strips:
    """The strips of x [B, T, D], whose places are the queries of the mask; shared by all layers that the mask meets.

    Raises: ValueError where the mask does not fit x.
    """
    B, T = x.shape[:2]
    mask.check(T, mask.offset + T)
    return mask.once(("strips", B, T, x.device), lambda: _strips(mask, B, T, x.device))


@dataclass(frozen=True, eq=False)
class Strips:
    """N strips of at most L tokens, out of B rows of T places; everything is None where each row is its own strip."""

    taken: Tensor | None = None
    """Which of the B·T places stands at each of a strip: int64 [N, L]."""
    valid: Tensor | None = None
    """Which places of a strip hold a token: bool [N, L]."""
    back: Tensor | None = None
    """Where each place went, among the N·L: int64 [B, T]."""
    real: Tensor | None = None
    """Which places are real: bool [B, T]."""
    lengths: Tensor | None = None
    """Tokens of each strip: int64 [N]."""
    owners: Tensor | None = None
    """The row of each strip, where a row may have several: int64 [N]."""
    goes_on: Tensor | None = None
    """Beside `owners`: whether the strip's document began before the first place, at mask.offset: bool [N]."""
    last: Tensor | None = None
    """Beside `owners`: the last strip of each row: int64 [B]."""

    def split(self, x: Tensor) -> Tensor:
        """[B, T, ...] -> strips [N, L, ...], zeros where there is no token."""
        if self.taken is None or self.valid is None:
            return x
        return _masked(x.flatten(0, 1)[self.taken], self.valid)

    def cleared(self, strips: Tensor) -> Tensor:
        """Strips [N, L, ...] with zeros where there is no token."""
        return strips if self.valid is None else _masked(strips, self.valid)

    def join(self, out: Tensor) -> Tensor:
        """Strips [N, L, ...] -> [B, T, ...], zeros at padded places."""
        if self.back is None or self.real is None:
            return out
        return _masked(out.flatten(0, 1)[self.back], self.real)

    def reversed(self, strips: Tensor) -> Tensor:
        """Strips [N, L, ...] with the tokens of each in reverse, what stands after them left there."""
        if self.lengths is None:
            return strips.flip(1)
        places = torch.arange(strips.shape[1], device=strips.device)  # [L]
        mirrored = self.lengths[:, None] - 1 - places  # [N, L]
        order = torch.where(mirrored < 0, places, mirrored)
        return strips.gather(1, order.view(*order.shape, *[1] * (strips.dim() - 2)).expand_as(strips))

    def blanked(self, x: Tensor) -> Tensor:
        """[B, T, ...] with zeros at padded places."""
        return x if self.real is None else _masked(x, self.real)

    @property
    def begins(self) -> Tensor | None:
        """Where a document begins within the places: bool [B, T]; None: only the first may be one's."""
        if self.back is None or self.taken is None or self.goes_on is None or self.real is None:
            return None
        L = self.taken.shape[1]
        return self.real & (self.back % L == 0) & ~self.goes_on[self.back // L]

    def begin(self, state: Tensor, new: Tensor | None = None) -> Tensor:
        """What each row kept of the tokens so far, [B, ...], for its strips [N, ...]; for a new document zeros, or its
        row of `new` [B, ...]."""
        if self.owners is None or self.goes_on is None:
            return state
        found = state[self.owners]
        if new is None:
            return _masked(found, self.goes_on)
        goes_on = self.goes_on.view(-1, *[1] * (state.dim() - 1))
        return torch.where(goes_on, found, new[self.owners])

    def end(self, state: Tensor, before: Tensor) -> Tensor:
        """What each row keeps: [B, ...] of its last strip's [N, ...], or as `before` [B, ...] without a new token."""
        if self.lengths is None:
            return state
        lengths = self.lengths
        if self.last is not None:
            state, lengths = state[self.last], lengths[self.last]
        return torch.where(lengths.view(-1, *[1] * (state.dim() - 1)) > 0, state, before)


def _masked(x: Tensor, kept: Tensor) -> Tensor:
    """x [A, B, ...] with zeros where kept [A, B] or [A] is False; whatever stands there, a nan too."""
    return x.masked_fill(~kept.view(*kept.shape, *[1] * (x.dim() - kept.dim())), 0)


def _strips(mask: Mask, B: int, T: int, device: torch.device) -> Strips:
    if mask.documents is None and not mask.hides_keys():
        return Strips()
    real = torch.ones(B, T, dtype=torch.bool, device=device)
    if mask.keys is not None:
        real = mask.of_queries(mask.keys, T).expand(B, T)
    ranks = (real.cumsum(dim=1) - 1).clamp(min=0)  # [B, T]
    n_real, places = real.sum(dim=1), torch.arange(T, device=device)
    order = _real_first(real, ranks, n_real)
    rows = torch.arange(B, device=device)[:, None]
    if mask.documents is None:
        valid = places < n_real[:, None]
        return Strips(rows * T + order, valid, rows * T + ranks, real, n_real)
    documents = mask.documents.expand(B, -1)
    ids = mask.of_queries(documents, T).gather(1, order)  # [B, T], of real tokens first
    begins = (ids != ids.roll(1, dims=1)) & (places < n_real[:, None])
    begins[:, 0] = True  # a row without a token has an empty strip
    strip = (begins.flatten().cumsum(0) - 1).view(B, T)  # the strip of each token in that order
    owners, starts = begins.nonzero(as_tuple=True)  # [N]
    lengths = torch.zeros_like(owners).scatter_add_(
        0, strip.flatten(), (places < n_real[:, None]).long().flatten()
    )
    inside = torch.arange(int(lengths.max().clamp(min=1)), device=device)  # [L]
    within = (starts[:, None] + inside).clamp(max=T - 1)
    taken = owners[:, None] * T + order[owners[:, None], within]  # [N, L]
    own = strip.gather(1, ranks)  # [B, T]
    back = own * len(inside) + ranks - starts[own]
    return Strips(
        taken,
        inside < lengths[:, None],
        back,
        real,
        lengths,
        owners,
        (starts == 0) & (ids[owners, starts] == _last_id(mask, documents, B)[owners]),
        strip[:, -1],
    )


def _real_first(real: Tensor, ranks: Tensor, n_real: Tensor) -> Tensor:
    """The places of each row, real ones first: int64 [B, T]; without a sort, which ONNX has no stable one of."""
    goes_to = torch.where(real, ranks, n_real[:, None] + (~real).cumsum(dim=1) - 1)
    places = torch.arange(real.shape[1], device=real.device).expand_as(goes_to)
    return torch.zeros_like(goes_to).scatter(1, goes_to, places)


def _last_id(mask: Mask, documents: Tensor, B: int) -> Tensor:
    """The document of the last real token before the queries, int64 [B]; of the first place where there is none."""
    if mask.offset == 0:
        return documents[:, 0]
    before = documents[:, : mask.offset]
    if mask.keys is None:
        return before[:, -1]
    real = mask.keys[:, : mask.offset].expand(B, -1)
    places = torch.arange(mask.offset, device=documents.device)
    return before.gather(1, (places * real).max(dim=1, keepdim=True).values).squeeze(1)
