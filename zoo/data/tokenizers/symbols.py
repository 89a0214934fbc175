"""Symbols between spaces as tokens."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

from registry import Spec
from zoo.data.listed import ListedTokenizer, most_common
from zoo.kinds import TOKENIZER
from zoo.special_ids import UNKNOWN_TEXT

# What stands between spaces, with the one space before it, so that joining the tokens gives the text back.
TOKEN = re.compile(r" ?\S+|\s+")


class SymbolsSpec(Spec):
    type: Literal["symbols"] = "symbols"


@TOKENIZER.register("symbols", spec=SymbolsSpec, examples=[{}])
class Symbols:
    """What stands between spaces is a token, punctuation and brackets in it; the most frequent make the vocabulary."""

    def train(self, lines: Iterable[str], *, vocab_size: int) -> TrainedSymbols:
        """Counts the symbols. Raises: DataError where there is no text, or no room for any."""
        return TrainedSymbols.of(most_common(map(TOKEN.findall, lines), vocab_size))

    @staticmethod
    def restore(data: bytes) -> TrainedSymbols:
        """The trained tokenizer of those bytes."""
        return TrainedSymbols(data)


class TrainedSymbols(ListedTokenizer):
    """A list of symbols."""

    type = "symbols"
    unknown_text = " " + UNKNOWN_TEXT

    def split(self, text: str) -> list[str]:
        """The symbols, each with the space before it."""
        return TOKEN.findall(text)
