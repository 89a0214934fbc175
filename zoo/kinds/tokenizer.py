"""Tokenizer: text to token ids and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from registry import Kind


class TrainedTokenizer(Protocol):
    """What training, or restoring, gives."""

    vocab_size: int

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text."""
        ...

    def decode(self, rows: Sequence[Sequence[int]]) -> list[str]:
        """The text of each row of ids."""
        ...

    def is_token(self) -> Sequence[bool]:
        """Whether there is a token, for each id below vocab_size."""
        ...

    def save(self, folder: Path, stem: str) -> None:
        """Writes what `restore` reads."""
        ...


class TokenizerKind(Protocol):
    """A trained tokenizer has encode(list of str) -> list of id lists, decode(list of id lists) -> list of str,
    is_token() -> for each id below vocab_size whether there is a token, save(folder, stem), vocab_size.
    """

    def train(self, lines: Iterable[str], *, vocab_size: int) -> TrainedTokenizer:
        """A tokenizer trained on lines of text."""
        ...

    def restore(self, data: bytes) -> TrainedTokenizer:
        """A tokenizer trained before, from the bytes it saved."""
        ...


TOKENIZER = Kind(
    "tokenizer",
    package="zoo.data.tokenizers",
    context=(),
    check=(),
    summary="text to token ids and back",
    contract=TokenizerKind,
)
