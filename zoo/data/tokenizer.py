"""What a trained tokenizer can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from zoo.data.coder import Coder
from zoo.special_ids import UNK


class Tokenizer(Coder, ABC):
    """A trained tokenizer: text to ids and back. vocab_size counts the ids with the four special ones."""

    def __init__(self, data: bytes, vocab_size: int) -> None:
        super().__init__(data)
        self.vocab_size = vocab_size
        self._is_token = [True] * vocab_size

    @abstractmethod
    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text, without BOS and EOS."""

    def decode(self, rows: Sequence[Sequence[int]]) -> list[str]:
        """The text of each row of ids; PAD, BOS and EOS say nothing; UNK, and an id without a token, says "⁇"."""
        return self._texts(
            [[i if 0 <= i < self.vocab_size and self._is_token[i] else UNK for i in row] for row in rows]
        )

    @abstractmethod
    def _texts(self, rows: list[list[int]]) -> list[str]:
        """The text of each row of ids, all of which have tokens."""

    def is_token(self) -> Sequence[bool]:
        """Whether there is a token, a special one included, for each id below vocab_size; the others have none."""
        return self._is_token

    @abstractmethod
    def words(self) -> list[str]:
        """The word that each id stands for, "" for ids that stand for none; ids may share a word."""

    def facts(self) -> dict[str, int]:
        return {"vocab_size": self.vocab_size}
