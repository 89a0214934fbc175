"""The embedded corpus of constituency trees: the English sentences of the built-in grammar, in brackets."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import ClassVar, Literal

from pydantic import Field

from zoo.data.bad_lines import BadLines
from zoo.data.grammar import english
from zoo.data.grammar.constituents import bracketed
from zoo.data.grammar.sampling import Sampler
from zoo.kinds import CORPUS, CorpusSpec, Row
from zoo.storage.hashing import sha256_of_text


class GrammarTreesSpec(CorpusSpec):
    fields: ClassVar = ("tree",)

    type: Literal["grammar_trees"] = "grammar_trees"
    n_train: int = Field(10_000, ge=1, le=1_000_000)
    """Training trees."""
    n_dev: int = Field(500, ge=1, le=100_000)
    """Trees to validate on."""
    n_test: int = Field(500, ge=1, le=100_000)
    """Trees to test on."""
    seed: int = Field(1, ge=0, le=2**32 - 1)
    """Another seed, other sentences."""


@CORPUS.register("grammar_trees", spec=GrammarTreesSpec, examples=[{"n_train": 23, "n_dev": 5, "n_test": 7}])
class GrammarTrees:
    """Trees of English sentences drawn from a built-in grammar; no sentence is there twice.

    Test comes first from the stream, then dev, then train: the test set stays what it is when n_train changes.
    """

    def __init__(self, *, n_train: int, n_dev: int, n_test: int, seed: int) -> None:
        self._sizes = {"test": n_test, "dev": n_dev, "train": n_train}
        self._seed = seed

    def splits(self) -> list[str]:
        """Train, dev and test."""
        return ["train", "dev", "test"]

    def where(self, split: str) -> str:
        """A name for messages."""
        return f"grammar trees, {split}"

    def rows(self, split: str, *, bad_lines: BadLines) -> Iterator[Row]:
        """The trees of a split; none of them is bad."""
        return ({"tree": tree} for tree in self._trees[split])

    def fingerprint(self, split: str) -> str:
        """SHA-256 of the split's trees."""
        return sha256_of_text("\n".join(self._trees[split]))

    @cached_property
    def _trees(self) -> dict[str, list[str]]:
        sampler = Sampler(self._seed)
        seen: set[str] = set()
        splits: dict[str, list[str]] = {}
        for split, size in self._sizes.items():
            trees: list[str] = []
            while len(trees) < size:
                drawn = sampler.sentence()
                if (text := english.sentence(drawn)) not in seen:
                    seen.add(text)
                    trees.append(f"(ROOT {bracketed(english.constituents(drawn))})")
            splits[split] = trees
        return splits
