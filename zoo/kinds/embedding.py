"""Embedding: what turns raw input into vectors."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from registry import Kind
from zoo.kinds._sizes import sized


class Embedding(Protocol):
    """check(d_model=) of the spec; example_inputs(batch) of the spec: random inputs for a trial and their mask;
    `weight` [V, D] where a head may be tied to it; values_per_place of the spec, of numbers [B, N]: how many of them a
    place stands for, where no other place is told of them, so that a decoder may write them; reads_whole of the spec,
    if true: it counts places, so no decoder may write by it, nor may documents share a row; place_names(), where its
    places are always the same: what each stands for, for a reader; scaling of the spec, if there and not "none": it
    standardises each row by the mean and scale [B, 1] that its level(inputs) gives, and a head's numbers are of those
    units.
    """

    def __call__(
        self, inputs: Tensor, *, mask: Tensor | None, types: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """inputs [B, N, ...], mask bool [B, N] | None, types int [B, N] | None -> vectors [B, S, D] and their mask
        bool [B, S] | None; S is N for tokens.
        """
        ...


EMBEDDING = Kind(
    "embedding",
    package="zoo.components.embedding",
    context=("d_model",),
    check=("d_model",),
    calls=sized("d_model"),
    summary="turns raw input into vectors",
    contract=Embedding,
)
