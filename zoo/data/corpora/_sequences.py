"""What the generated long-range sequences have in common: their lengths, their splits, and which ids mean what.

An id of 0 fills up, 1 stands where nothing is said, 2 asks; the symbols of a vocabulary come after these.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cached_property
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from zoo.data.bad_lines import BadLines
from zoo.errors import DataError
from zoo.kinds import CorpusSpec, Row
from zoo.special_ids import NOT_ASKED

BLANK, ASK, N_MARKS = 1, 2, 3
"""Ids of the two marks, and the first of the symbols."""
STREAMS = {"train": 0, "dev": 1, "test": 2}
N_TRIES = 256
"""Draws for a sequence that is none of those it must differ from."""

Ids = NDArray[np.int64]
Length = Annotated[int, Field(ge=1, le=1_000_000)]


class SequencesSpec(CorpusSpec):
    fields: ClassVar = ("tokens", "labels")

    vocab_size: int = Field(8, ge=2, le=1_000_000)
    """Symbols that are drawn from; the model's vocabulary has three ids more."""
    lengths: tuple[Length, ...] = Field((12, 16, 32, 64), min_length=1, max_length=1_000)
    """Tokens of the sequences to learn from and to validate on, in turn, places that ask included."""
    test_lengths: tuple[Length, ...] = Field((12, 16, 32, 64, 128), min_length=1, max_length=1_000)
    """Tokens of those to test on, in turn; longer ones than were learnt from among them."""
    n_train: int = Field(20_000, ge=1, le=10_000_000)
    """Sequences to learn from."""
    n_dev: int = Field(300, ge=1, le=100_000)
    """Sequences to validate on."""
    n_test: int = Field(1_000, ge=1, le=100_000)
    """Sequences to test on, of all lengths together."""
    seed: int = Field(1, ge=0, le=2**32 - 1)
    """Another seed, other sequences."""

    @property
    def n_ids(self) -> int:
        """Ids that occur, those of the marks included: what a model's vocabulary must have room for."""
        return N_MARKS + self.vocab_size

    @property
    def least_length(self) -> int:
        """The fewest tokens that a sequence can have."""
        raise NotImplementedError

    def check(self) -> None:
        for name in ("lengths", "test_lengths"):
            given: tuple[int, ...] = getattr(self, name)
            if min(given) < self.least_length:
                raise ValueError(
                    f"{name}: {min(given)} is too short: {self.type} needs {self.least_length} or more"
                )
            if len(set(given)) < len(given):
                raise ValueError(f"{name} names a length twice: {', '.join(map(str, given))}")


class Sequences(ABC):
    """Sequences of ids, int64 [T], and the labels of their places, int64 [T]: what is asked there, or -1.

    No sequence of one split is in another one, nor twice in dev or test. A sequence depends on seed, split and number
    alone: what is tested on stays what it is when n_train changes.
    """

    def __init__(
        self,
        *,
        vocab_size: int,
        lengths: tuple[int, ...],
        test_lengths: tuple[int, ...],
        n_train: int,
        n_dev: int,
        n_test: int,
        seed: int,
    ) -> None:
        self._symbols = np.arange(N_MARKS, N_MARKS + vocab_size)
        self._lengths = {"train": lengths, "dev": lengths, "test": test_lengths}
        self._sizes = {"train": n_train, "dev": n_dev, "test": n_test}
        self._seed = seed

    @abstractmethod
    def draw(self, random: np.random.Generator, length: int) -> tuple[Ids, Ids]:
        """A sequence of so many tokens, and the labels of its places."""

    def splits(self) -> list[str]:
        """Train, dev and test."""
        return list(self._sizes)

    def where(self, split: str) -> str:
        """A name for messages."""
        return f"generated sequences, {split}"

    def rows(self, split: str, *, bad_lines: BadLines) -> Iterator[Row]:
        """The sequences of a split; none of them is bad. Raises: DataError where there are not so many."""
        if split != "train":
            return iter(self._held_out[split])
        held_out = {row["tokens"].tobytes() for rows in self._held_out.values() for row in rows}
        return (self._row(split, number, held_out) for number in range(self._sizes[split]))

    def fingerprint(self, split: str) -> str:
        """SHA-256 of the split's sequences and labels."""
        digest = hashlib.sha256()
        for row in self.rows(split, bad_lines=BadLines("error")):
            digest.update(len(row["tokens"]).to_bytes(8) + row["tokens"].tobytes() + row["labels"].tobytes())
        return digest.hexdigest()

    @cached_property
    def _held_out(self) -> dict[str, list[Row]]:
        """The rows that are not learnt from, which all differ."""
        seen: set[bytes] = set()
        found: dict[str, list[Row]] = {"test": [], "dev": []}
        for split, rows in found.items():
            for number in range(self._sizes[split]):
                rows.append(self._row(split, number, seen))
                seen.add(rows[-1]["tokens"].tobytes())
        return found

    def _row(self, split: str, number: int, others: set[bytes]) -> Row:
        """A sequence that is none of the others."""
        lengths = self._lengths[split]
        length = lengths[number % len(lengths)]
        key = np.array([self._seed, STREAMS[split] << 32 | number], np.uint64)
        random = np.random.Generator(np.random.Philox(key=key))
        for _ in range(N_TRIES):
            tokens, labels = self.draw(random, length)
            if tokens.tobytes() not in others:
                return {"tokens": tokens, "labels": labels}
        raise DataError(
            f"{self.where(split)}: after {number:,} sequences none of {length} tokens is found that is new; there are "
            "too few: ask for fewer, or give task.data more to draw from"
        )


class CopiedSpec(SequencesSpec):
    n_symbols: int = Field(4, ge=1, le=100_000)
    """Symbols to be copied; what a length leaves beyond twice as many is blank."""

    @property
    def least_length(self) -> int:
        return 2 * self.n_symbols


class Copied(Sequences):
    """Some symbols, and blanks, then each symbol is asked for, in their order."""

    def __init__(self, *, n_symbols: int, **inherited: Any) -> None:
        super().__init__(**inherited)
        self._n_symbols = n_symbols


def asked_at_the_end(question: Ids, answers: Ids) -> tuple[Ids, Ids]:
    """A question, then a mark for each answer, of which that is the label."""
    tokens = np.concatenate([question, np.full(len(answers), ASK)])
    labels = np.concatenate([np.full(len(question), NOT_ASKED), answers])
    return tokens, labels
