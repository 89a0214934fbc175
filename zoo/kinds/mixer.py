"""Mixer: what mixes the positions of a layer without being an attention."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

from torch import Tensor

from registry import Kind, Spec
from zoo.kernels.cache import Cache
from zoo.kinds._sizes import sized
from zoo.kinds.position import Position
from zoo.masks import Mask


class Mixer(Protocol):
    """The spec is a MixerSpec; check(d_model=, role=, position=) of it with role 'self' or 'causal' (no place may learn
    of a later one) and the spec of the positions it meets. roles(), if it has that: what its matrices are for, see
    zoo.kinds.Role. One whose spec `reads_memory` takes two further keywords, `memory` [B, S, D] | None and
    `memory_mask`, the Mask of its places; what such a one keeps has `select`, as the cache of a cross-attention has.
    """

    def __call__(self, x: Tensor, *, mask: Mask, position: Position | None, cache: Any) -> Tensor:
        """x [B, T, D] -> [B, T, D]. mask.causal says the direction, mask.keys which places are real: what stands at
        others, on any side of them, has no influence; mask.documents which belong together: nothing crosses from one to
        the next. What it gives at padded places nobody reads, but it is finite. cache is None or, in a search, what it
        made itself: then x are the tokens that are new, the first of them at mask.offset.
        """
        ...

    def new_cache(self) -> Cache | None:
        """What it keeps of the tokens so far, at first of none; None: it keeps nothing, or can only stand where nothing
        is written. Its rows can be reordered; nobody else looks inside.
        """
        ...


MIXER = Kind(
    "mixer",
    package="zoo.components.mixer",
    context=("d_model",),
    check=("d_model", "role", "position"),
    calls=sized("d_model", further=("role", "position")),
    summary="mixes the positions of a layer without being an attention",
    contract=Mixer,
)


class MixerSpec(Spec):
    """Base of every mixer's spec."""

    reads: ClassVar[tuple[str, ...] | None] = ()
    """The methods of a position that it calls."""
    reads_memory: ClassVar[bool] = False
    """Whether it looks at the encoder's output by itself, so that its layer needs no cross_attention."""
    gives_nothing: ClassVar[bool] = False
    """Whether it gives zeros."""
