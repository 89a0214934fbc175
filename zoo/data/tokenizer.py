"""What a trained tokenizer can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from zoo.data.coder import Coder
from zoo.special_ids import BOS, EOS, N_SPECIAL, PAD, UNK, UNKNOWN_TEXT

Frame = tuple[tuple[int | None, int], ...]
"""What a model reads, one text or a pair: ids that are always there, and None where a text stands, each with its token
type."""
FRAMES: tuple[Frame, Frame] = (
    ((BOS, 0), (None, 0), (EOS, 0)),
    ((BOS, 0), (None, 0), (EOS, 0), (None, 1), (EOS, 1)),
)
"""The frames of one text and of a pair that tokenizers trained here have: Devlin et al. 2019, Figure 2."""
WHITE = {" ": "␣", "\n": "↵", "\t": "⇥"}
"""How a space is shown that is a token."""


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
    frames: tuple[Frame, Frame] = FRAMES
    """How one text and a pair of them stand in what a model reads as a whole, such as one that classifies."""
    mask_text: str | None = None
    """How the mask is written in a text; None where no text can hold it."""

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

    def pieces(self, text: str) -> list[str]:
        """What of a text each id of `encode` stands for, unknown ones too; "" where that cannot be told."""
        return ["" for _ in self.encode([text])[0]]

    def encode_words(self, sentences: Sequence[Sequence[str]]) -> list[list[list[int]]]:
        """The ids of each word of each sentence, each word cut by itself; none of a word that is left out."""
        pieces = iter(self.encode([word for words in sentences for word in words]))
        return [[next(pieces) for _ in words] for words in sentences]

    def id_of(self, token: str) -> int | None:
        """The id of a token with a meaning of its own that text may hold, such as "<extra_id_0>"; None: it has none."""
        return None

    @property
    def ordinary(self) -> NDArray[np.int64]:
        """The ids of tokens that stand for text, in their order."""
        return np.arange(N_SPECIAL, self.vocab_size)

    def whole(self, tokens: Sequence[int]) -> list[int]:
        """A text's ids with what stands before and after it."""
        return [*self.before, *tokens, *self.after]

    def framed(self, *texts: Sequence[int]) -> tuple[list[int], list[int]]:
        """The ids of one text or of a pair in their frame, and the token type of each."""
        rest = iter(texts)
        tokens: list[int] = []
        types: list[int] = []
        for number, kind in self.frames[len(texts) - 1]:
            new = next(rest) if number is None else (number,)
            tokens += new
            types += [kind] * len(new)
        return tokens, types

    def n_framing(self, n_texts: int = 1) -> int:
        """How many ids a frame adds to one text, or to two."""
        return len(self.frames[n_texts - 1]) - n_texts

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

    def shown(self, tokens: Sequence[int]) -> list[str]:
        """Each id by itself for a reader: its text without outer spaces, of a special id its name, never nothing."""
        texts = self.decode([[number] for number in tokens])
        return [
            text.strip() or WHITE.get(text) or self._name(number)
            for number, text in zip(tokens, texts, strict=True)
        ]

    def _name(self, number: int) -> str:
        """What an id without a text is called."""
        names = {
            self.pad: "<pad>",
            self.start: "<s>",
            self.end: "</s>",
            self.unk: UNKNOWN_TEXT,
            self.mask: "<mask>",
        }
        return names.get(number, f"<{number}>")

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
