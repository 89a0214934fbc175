"""Decoding: how output is searched for."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor, nn

from registry import Kind


class Decoding(Protocol):
    """A hypothesis is a zoo.generation.search.Hypothesis."""

    def __call__(
        self,
        model: nn.Module,
        source: Tensor,
        source_mask: Tensor | None,
        *,
        is_token: Tensor | None = None,
    ) -> list[list[Any]]:
        """source [B, S], source_mask [B, S], is_token bool [n] | None -> for each sentence its n-best hypotheses, best
        first; is_token says which ids the vocabulary has a token for, those from n on having none: no other id is
        written. `search(batch, is_token=)`, if it has that, does the same for a zoo.generation.search.Searchable at its
        start. One that writes token by token, with nothing to take back, has `steps` besides: called alike, a
        generator of zoo.generation.streaming.Step with the same result.
        """
        ...


DECODING = Kind(
    "decoding",
    package="zoo.generation.strategies",
    context=(),
    check=(),
    summary="how output is searched for",
    contract=Decoding,
)
