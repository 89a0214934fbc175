"""Token ids with a meaning of their own: those of this project's vocabularies, and how a search is told others."""

from __future__ import annotations

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
UNKNOWN_TEXT = "⁇"
"""How an unknown token is shown: seen, rather than silently left out."""


class SpecialIds(Spec):
    """The ids that a search needs to know; by default those of every tokenizer of this project."""

    pad: int = Field(default=PAD, ge=0)
    """Fills up shorter rows."""
    start: int = Field(default=BOS, ge=0)
    """Begins an encoder-decoder's output; a decoder-only model begins with its prompt."""
    end: int = Field(default=EOS, ge=0)
    """Ends an output."""
    never: tuple[int, ...] = (PAD, BOS)
    """Ids that are never written."""
