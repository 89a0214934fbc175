"""Trained tokenizers: what each can do, and how they are kept in a run folder.

A tokenizer is two files: its vocabulary, and `stem.json` with its type, size and the vocabulary's SHA-256, by
which a damaged or exchanged vocabulary is found before it turns text into other ids than the model has
learnt.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from zoo.errors import RunError
from zoo.kinds import TOKENIZER
from zoo.special_ids import UNK
from zoo.storage.files import write_bytes
from zoo.storage.hashing import sha256
from zoo.storage.records import read_record, write_record


class Tokenizer(ABC):
    """A trained tokenizer: text to ids and back.

    data are the bytes of its vocabulary file, vocab_size counts the ids with the four special ones, and
    sha256 is that of data: equal for equal tokenizers, and for no others.
    """

    type: ClassVar[str]
    """The name its kind is registered under."""
    suffix: ClassVar[str]
    """Ending of the vocabulary file's name."""

    def __init__(self, data: bytes, vocab_size: int) -> None:
        self.data = data
        self.vocab_size = vocab_size
        self._is_token = [True] * vocab_size
        self.sha256 = sha256(data)

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

    def save(self, folder: Path, stem: str) -> None:
        """Writes `stem` + suffix, then `stem.json`.

        Raises: RunError where that cannot be written.
        """
        name = stem + self.suffix
        about = {"type": self.type, "file": name, "sha256": self.sha256, "vocab_size": self.vocab_size}
        write_bytes(folder / name, self.data)
        write_record(folder / f"{stem}.json", about)


def load_tokenizer(folder: Path, stem: str) -> Tokenizer:
    """The tokenizer that was saved in a folder under that stem.

    Raises: RunError where it is missing, damaged, or not the file that was saved.
    """
    record = folder / f"{stem}.json"
    keys = ("type", "sha256", "vocab_size", "file")
    kind, expected, vocab_size, name = read_record(record, lambda about: [str(about[key]) for key in keys])
    file = folder / Path(name).name  # a name only: a record may not point out of its folder
    try:
        data = file.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise RunError(f"{file}: cannot be read: {getattr(error, 'strerror', error)}") from None
    found = sha256(data)
    if found != expected:
        raise RunError(
            f"{file}: not the tokenizer that was saved: its SHA-256 is {found}, {record.name} says {expected}"
        )
    if kind not in TOKENIZER.names():
        raise RunError(
            f"{record}: no tokenizer is registered as {kind!r} (known: {', '.join(TOKENIZER.names())})"
        )
    tokenizer: Tokenizer = TOKENIZER.entry(kind).builder.restore(data)  # type: ignore[attr-defined]
    if str(tokenizer.vocab_size) != vocab_size:
        raise RunError(f"{record}: says vocab_size {vocab_size}, but {file.name} has {tokenizer.vocab_size}")
    return tokenizer
