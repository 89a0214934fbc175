"""What a trained tokenizer can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from zoo.data.coder import Coder
from zoo.special_ids import BOS, EOS, PAD, UNK


class Tokenizer(Coder, ABC):
    """A trained tokenizer: text to ids and back. vocab_size counts the ids with the special ones.

    Those trained here have the four ids of zoo.special_ids; one that came with a checkpoint has its own.
    """

    pad: int = PAD
    """Fills up shorter rows."""
    start: int = BOS
    """Begins what a model writes."""
    end: int = EOS
    """Ends a text."""
    unk: int | None = UNK
    """What the vocabulary does not know; None where it knows every text."""
    mask: int | None = None
    """Stands for a token that is to be guessed; None where no id means that."""
    before: tuple[int, ...] = ()
    """What a text begins with, where a model reads it or is to write it."""
    after: tuple[int, ...] = (EOS,)
    """What a text ends with."""
    opening: tuple[int, ...] = (BOS,)
    """What a prompt begins with, of a model that goes on with it."""

    def for_side(self, side: str) -> Tokenizer:
        """The tokenizer of a side, source or target, where one vocabulary cuts the two in different ways."""
        return self

    def __init__(self, data: bytes, vocab_size: int) -> None:
        super().__init__(data)
        self.vocab_size = vocab_size
        self._is_token = [True] * vocab_size

    @abstractmethod
    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text, without what stands before and after it."""

    def whole(self, tokens: Sequence[int]) -> list[int]:
        """A text's ids with what stands before and after it."""
        return [*self.before, *tokens, *self.after]

    def prompt(self, tokens: Sequence[int]) -> list[int]:
        """A prompt's ids with what begins it; of an empty one, what begins every text."""
        return [*self.opening, *tokens] or [self.start]

    def decode(self, rows: Sequence[Sequence[int]]) -> list[str]:
        """The text of each row of ids; PAD, BOS and EOS say nothing; UNK, and an id without a token, says "⁇"."""
        unknown = self._unknown
        return self._texts(
            [
                [j for i in row for j in ([i] if 0 <= i < self.vocab_size and self._is_token[i] else unknown)]
                for row in rows
            ]
        )

    @property
    def _unknown(self) -> list[int]:
        """What is shown for an id that has no token."""
        return [] if self.unk is None else [self.unk]

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
