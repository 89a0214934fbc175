"""Tokenizers whose vocabulary is a list of strings, each a token."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import ClassVar, Self

from zoo.data.tokenizer import Tokenizer
from zoo.errors import DataError, RunError
from zoo.special_ids import N_SPECIAL, UNK


class ListedTokenizer(Tokenizer):
    """A list of tokens, most frequent first; ids follow the special ones. The file is the list as JSON."""

    suffix = ".vocabulary.json"
    unknown_text: ClassVar[str]
    """What an unknown token is shown as."""

    def __init__(self, data: bytes) -> None:
        try:
            tokens = json.loads(data)
            if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
                raise ValueError("not a list of strings")
        except ValueError as error:
            raise RunError(f"not a vocabulary: {error}") from None
        super().__init__(data, N_SPECIAL + len(tokens))
        self._shown = ["", self.unknown_text, "", "", *tokens]
        self._ids = {token: number for number, token in enumerate(tokens, N_SPECIAL)}

    @classmethod
    def of(cls, tokens: Sequence[str]) -> Self:
        """The tokenizer with those tokens."""
        return cls(json.dumps(tokens, ensure_ascii=False, indent=0).encode())

    @abstractmethod
    def split(self, text: str) -> list[str]:
        """The tokens of a text, which joined give the text back."""

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text, without BOS and EOS."""
        return [[self._ids.get(token, UNK) for token in self.split(text)] for text in texts]

    def pieces(self, text: str) -> list[str]:
        """The tokens, as they are split."""
        return self.split(text)

    def _texts(self, rows: list[list[int]]) -> list[str]:
        return ["".join([self._shown[number] for number in row]) for row in rows]

    def tokens(self) -> list[str]:
        """What each id stands for, as it is in the list; of a special one nothing."""
        return [*[""] * N_SPECIAL, *self._shown[N_SPECIAL:]]

    def words(self) -> list[str]:
        """The word that each id stands for: its token, without the space before it; of a mere space, none."""
        return [token.strip() for token in self.tokens()]


def most_common(split_lines: Iterable[Iterable[str]], vocab_size: int) -> list[str]:
    """The most frequent tokens that fit beside the special ids; equally frequent ones in code point order.

    Raises: DataError where there is none, or no room.
    """
    counts: Counter[str] = Counter()
    for tokens in split_lines:
        counts.update(tokens)
    if not counts:
        raise DataError("a tokenizer cannot be trained without text")
    if vocab_size <= N_SPECIAL:
        raise DataError(f"vocab_size {vocab_size} leaves no room: the first {N_SPECIAL} ids are special")
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [token for token, _ in ordered[: vocab_size - N_SPECIAL]]
