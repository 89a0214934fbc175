"""The embedded corpus: English and German sentences of a small grammar of our own, needing no file.

German asks for what a translator must learn: gender, case, adjective endings, verb second and verb last,
separable verbs, compounds, `kein` and `nicht`. The sentences are grammatical rather than wise. An English
sentence has one German translation here and back, so that a BLEU score counts errors and not differences of
taste.
"""

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


class GrammarCorpusSpec(CorpusSpec):
    fields: ClassVar = ("source", "target")

    type: Literal["grammar"] = "grammar"
    source_language: Literal["en", "de"] = "en"
    """The language translated from; the other one is the target. Into German there is more to learn."""
    n_train: int = Field(30_000, ge=1, le=1_000_000)
    """Training pairs."""
    n_dev: int = Field(500, ge=1, le=100_000)
    """Pairs to validate on."""
    n_test: int = Field(1_000, ge=1, le=100_000)
    """Pairs to test on."""
    seed: int = Field(1, ge=0, le=2**32 - 1)
    """Another seed, other sentences."""


@CORPUS.register("grammar", spec=GrammarCorpusSpec, examples=[{"n_train": 23, "n_dev": 5, "n_test": 7}])
class GrammarCorpus:
    """English-German sentences drawn from a built-in grammar.

    Train, dev and test share no sentence, in either language. Test comes first from the stream, then dev,
    then train: the test set stays what it is when n_train changes.
    """

    def __init__(self, *, source_language: str, n_train: int, n_dev: int, n_test: int, seed: int) -> None:
        self._is_reversed = source_language == "de"
        self._sizes = {"test": n_test, "dev": n_dev, "train": n_train}
        self._seed = seed

    def splits(self) -> list[str]:
        """Train, dev and test."""
        return ["train", "dev", "test"]

    def where(self, split: str) -> str:
        """A name for messages."""
        return f"grammar corpus, {split}"

    def rows(self, split: str, *, bad_lines: BadLines) -> Iterator[Row]:
        """The sentences of a split; none of them is bad."""
        return ({"source": source, "target": target} for source, target in self._pairs[split])

    def fingerprint(self, split: str) -> str:
        """SHA-256 of the split's text."""
        digest = hashlib.sha256()
        for pair in self._pairs[split]:
            digest.update("\t".join(pair).encode() + b"\n")
        return digest.hexdigest()

    @cached_property
    def _pairs(self) -> dict[str, list[tuple[str, str]]]:
        sampler = Sampler(self._seed)
        seen_english: set[str] = set()
        seen_german: set[str] = set()
        splits: dict[str, list[tuple[str, str]]] = {}
        for split, size in self._sizes.items():
            pairs: list[tuple[str, str]] = []
            while len(pairs) < size:
                tree = sampler.sentence()
                pair = (english.sentence(tree), german.sentence(tree))
                if pair[0] not in seen_english and pair[1] not in seen_german:
                    seen_english.add(pair[0])
                    seen_german.add(pair[1])
                    pairs.append((pair[1], pair[0]) if self._is_reversed else pair)
            splits[split] = pairs
        return splits
