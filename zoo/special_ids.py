"""Token ids with a meaning of their own: those of this project's vocabularies, and how a search is told others."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from registry import Spec

PAD = 0
"""Fills up a batch's shorter rows."""
UNK = 1
"""What the vocabulary does not know."""
BOS = 2
"""Begins the target input."""
EOS = 3
"""Ends a source, and a target's labels."""
N_SPECIAL = 4
NOT_ASKED = -1
"""The label of a place at which nothing is to be predicted; no id."""
UNKNOWN_TEXT = "⁇"
"""How an unknown token is shown: seen, rather than silently left out."""


_Id = Annotated[int, Field(ge=0)]


class SpecialIds(Spec):
    """The ids that a search needs to know; by default those of every tokenizer of this project."""

    pad: int = Field(default=PAD, ge=0)
    """Fills up shorter rows."""
    start: int = Field(default=BOS, ge=0)
    """Begins an encoder-decoder's output; a decoder-only model begins with its prompt."""
    first: tuple[_Id, ...] = ()
    """Ids that every output begins with, after start or the prompt, such as that of a language: they cost nothing,
    count in its length, and are left out of what is given back."""
    end: _Id | Annotated[tuple[_Id, ...], Field(min_length=1)] = EOS
    """Ends an output; several: whichever comes first."""
    never: tuple[_Id, ...] = (PAD, BOS)
    """Ids that are never written; nor are, unsaid, those that the vocabulary has no token for."""
    not_first: tuple[_Id, ...] = ()
    """Ids that an output may not begin with, `first` aside; an end among them forbids an output of nothing."""

    @property
    def ends(self) -> tuple[int, ...]:
        """The ids of which each ends an output."""
        return (self.end,) if isinstance(self.end, int) else self.end
