"""Characters as tokens."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from registry import Spec
from zoo.data.listed import ListedTokenizer, most_common
from zoo.kinds import TOKENIZER
from zoo.special_ids import UNKNOWN_TEXT


class CharactersSpec(Spec):
    type: Literal["characters"] = "characters"


@TOKENIZER.register("characters", spec=CharactersSpec, examples=[{}])
class Characters:
    """Characters are tokens; the most frequent ones make a vocabulary of at most vocab_size."""

    def train(self, lines: Iterable[str], *, vocab_size: int) -> TrainedCharacters:
        """Counts the characters. Raises: DataError where there is no text, or no room for any."""
        return TrainedCharacters.of(most_common(map(list, lines), vocab_size))

    @staticmethod
    def restore(data: bytes) -> TrainedCharacters:
        """The trained tokenizer of those bytes."""
        return TrainedCharacters(data)


class TrainedCharacters(ListedTokenizer):
    """A list of characters."""

    type = "characters"
    unknown_text = UNKNOWN_TEXT

    def split(self, text: str) -> list[str]:
        """The characters."""
        return list(text)
