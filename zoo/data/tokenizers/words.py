"""Words as tokens."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

from registry import Spec
from zoo.data.listed import ListedTokenizer, most_common
from zoo.kinds import TOKENIZER
from zoo.special_ids import UNKNOWN_TEXT

# A word or a run of punctuation, each with the one space before it, so that joining the tokens gives the text
# back.
TOKEN = re.compile(r" ?\w+| ?[^\w\s]+|\s+")


class WordsSpec(Spec):
    type: Literal["words"] = "words"


@TOKENIZER.register("words", spec=WordsSpec, examples=[{}])
class Words:
    """Words and punctuation are tokens; the most frequent ones make a vocabulary of at most vocab_size."""

    def train(self, lines: Iterable[str], *, vocab_size: int) -> TrainedWords:
        """Counts the words. Raises: DataError where there is no text, or no room for any."""
        return TrainedWords.of(most_common(map(TOKEN.findall, lines), vocab_size))

    @staticmethod
    def restore(data: bytes) -> TrainedWords:
        """The trained tokenizer of those bytes."""
        return TrainedWords(data)


class TrainedWords(ListedTokenizer):
    """A list of words."""

    type = "words"
    unknown_text = " " + UNKNOWN_TEXT

    def split(self, text: str) -> list[str]:
        """Words and punctuation, each with the space before it."""
        return TOKEN.findall(text)
