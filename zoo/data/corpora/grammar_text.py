"""The embedded text: small documents of English, or German, sentences of the grammar, needing no file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cached_property
from typing import ClassVar, Literal

from pydantic import Field

from zoo.data.bad_lines import BadLines
from zoo.data.grammar import english, german
from zoo.data.grammar.sampling import Sampler
from zoo.kinds import CORPUS, CorpusSpec, Row

N_SENTENCES = (4, 1, 5, 2, 6, 3)
"""Sentences of the documents, by turns: a fixed order, which needs no further source of chance."""


class GrammarTextSpec(CorpusSpec):
    fields: ClassVar = ("text",)

    type: Literal["grammar_text"] = "grammar_text"
    language: Literal["en", "de"] = "en"
    """The language of the sentences."""
    n_train: int = Field(5_000, ge=1, le=1_000_000)
    """Documents to train on, of 3.5 sentences on average."""
    n_dev: int = Field(100, ge=1, le=100_000)
    """Documents to validate on."""
    n_test: int = Field(200, ge=1, le=100_000)
    """Documents to test on."""
    seed: int = Field(1, ge=0, le=2**32 - 1)
    """Another seed, other sentences."""


@CORPUS.register("grammar_text", spec=GrammarTextSpec, examples=[{"n_train": 23, "n_dev": 5, "n_test": 7}])
class GrammarText:
    """Documents of 1 to 6 sentences drawn from a built-in grammar, a space between them.

    No sentence is met twice, in whichever split. Test comes first from the stream, then dev, then train: the test set
    stays what it is when n_train changes.
    """

    def __init__(self, *, language: str, n_train: int, n_dev: int, n_test: int, seed: int) -> None:
        self._write = english.sentence if language == "en" else german.sentence
        self._sizes = {"test": n_test, "dev": n_dev, "train": n_train}
        self._seed = seed

    def splits(self) -> list[str]:
        """Train, dev and test."""
        return ["train", "dev", "test"]

    def where(self, split: str) -> str:
        """A name for messages."""
        return f"grammar text, {split}"

    def rows(self, split: str, *, bad_lines: BadLines) -> Iterator[Row]:
        """The documents of a split; none of them is bad."""
        return ({"text": text} for text in self._documents[split])

    def fingerprint(self, split: str) -> str:
        """SHA-256 of the split's text."""
        return hashlib.sha256("\n".join(self._documents[split]).encode()).hexdigest()

    @cached_property
    def _documents(self) -> dict[str, list[str]]:
        sentences = self._sentences()
        documents: dict[str, list[str]] = {}
        for split, size in self._sizes.items():
            documents[split] = [
                " ".join(next(sentences) for _ in range(N_SENTENCES[number % len(N_SENTENCES)]))
                for number in range(size)
            ]
        return documents

    def _sentences(self) -> Iterator[str]:
        sampler, seen = Sampler(self._seed), set[str]()
        while True:
            sentence = self._write(sampler.sentence())
            if sentence not in seen:
                seen.add(sentence)
                yield sentence
