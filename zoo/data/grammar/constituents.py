"""Words in the phrases that they make."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

PUNCTUATION = {",": ",", ".": ".", "?": "."}
"""Their parts of speech in the Penn Treebank."""


class Constituent(NamedTuple):
    """A phrase: its label, and its words and phrases in order; a word may be several, or empty."""

    label: str
    parts: Sequence[Item]


Item = str | Constituent


def words_of(item: Item) -> list[str]:
    """The words, of which some may be several joined by spaces."""
    if isinstance(item, str):
        return [item] if item else []
    return [word for part in item.parts for word in words_of(part)]


def bracketed(item: Item) -> str:
    """The phrase in brackets on a line, as a treebank has it; "" for no word.

    Parts of speech are not told apart: words have XX, punctuation its own.
    """
    if isinstance(item, str):
        return " ".join(f"({PUNCTUATION.get(word, 'XX')} {word})" for word in item.split())
    parts = [text for part in item.parts if (text := bracketed(part))]
    return f"({item.label} {' '.join(parts)})" if parts else ""
