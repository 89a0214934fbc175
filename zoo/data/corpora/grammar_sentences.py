"""English sentences of the embedded grammar, each with what it is, and its words with what they do in it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, ClassVar, Literal

from pydantic import Field

from zoo.data.bad_lines import BadLines
from zoo.data.grammar import english
from zoo.data.grammar.constituents import Item, words_of
from zoo.data.grammar.sampling import Sampler
from zoo.data.grammar.tree import Clause, Sentence
from zoo.kinds import CORPUS, CorpusSpec, Row

_QUESTIONS = ("yes or no", "asked", "who", "which")
_TOKEN = re.compile(r"[.,?]|[^\s.,?]+")


class GrammarSentencesSpec(CorpusSpec):
    fields: ClassVar = ("text", "label", "tokens", "tags")

    type: Literal["grammar_sentences"] = "grammar_sentences"
    n_train: int = Field(5_000, ge=1, le=1_000_000)
    """Training sentences."""
    n_dev: int = Field(500, ge=1, le=100_000)
    """Sentences to validate on."""
    n_test: int = Field(500, ge=1, le=100_000)
    """Sentences to test on."""
    seed: int = Field(1, ge=0, le=2**32 - 1)
    """Another seed, other sentences."""


@CORPUS.register(
    "grammar_sentences", spec=GrammarSentencesSpec, examples=[{"n_train": 23, "n_dev": 5, "n_test": 7}]
)
class GrammarSentences:
    """Sentences drawn from the built-in grammar, with labels and tags by its trees.

    label: question, or of another sentence past, present or future, the time of its main clause. tags: spans, as
    B-SUBJECT, I-SUBJECT and O, of subjects, objects, places and times; of a relative clause none, for it lies in one.
    Train, dev and test share no sentence; test comes first from the stream, then dev, then train.
    """

    def __init__(self, *, n_train: int, n_dev: int, n_test: int, seed: int) -> None:
        self._sizes = {"test": n_test, "dev": n_dev, "train": n_train}
        self._seed = seed

    def splits(self) -> list[str]:
        """Train, dev and test."""
        return ["train", "dev", "test"]

    def where(self, split: str) -> str:
        """A name for messages."""
        return f"grammar sentences, {split}"

    def rows(self, split: str, *, bad_lines: BadLines) -> Iterator[Row]:
        """The sentences of a split; none of them is bad."""
        return iter(self._rows[split])

    def fingerprint(self, split: str) -> str:
        """SHA-256 of the split's rows."""
        return hashlib.sha256(json.dumps(self._rows[split]).encode()).hexdigest()

    @cached_property
    def _rows(self) -> dict[str, list[dict[str, Any]]]:
        sampler = Sampler(self._seed)
        seen: set[str] = set()
        splits: dict[str, list[dict[str, Any]]] = {}
        for split, size in self._sizes.items():
            rows = splits[split] = []
            while len(rows) < size:
                tree = sampler.sentence()
                text = english.sentence(tree)
                if text not in seen:
                    seen.add(text)
                    tokens = _TOKEN.findall(text)
                    rows.append(
                        {"text": text, "label": _label(tree), "tokens": tokens, "tags": _tags(tree, tokens)}
                    )
        return splits


def _label(tree: Sentence) -> str:
    if tree.shape in _QUESTIONS:
        return "question"
    return "future" if tree.main.modal == "will" else tree.main.tense


def _tags(tree: Sentence, tokens: list[str]) -> list[str]:
    """The tag of each token: those of the clauses' parts, the longest first, each where it first stands untagged."""
    parts = [part for clause in (tree.main, tree.second) if clause for part in _parts(clause)]
    words = [token.lower() for token in tokens]
    tags = ["O"] * len(tokens)
    for name, part in sorted(parts, key=lambda part: -len(part[1])):
        n = len(part)
        for start in range(len(words) - n + 1):
            if words[start : start + n] == part and set(tags[start : start + n]) == {"O"}:
                tags[start : start + n] = [f"B-{name}", *[f"I-{name}"] * (n - 1)]
                break
    return tags


def _parts(clause: Clause) -> Iterator[tuple[str, list[str]]]:
    """What the parts of a clause are called, and their words in lower case."""
    found: list[tuple[str, Sequence[Item]]] = []
    if clause.subject is not None:
        found.append(("SUBJECT", [english.noun_phrase(clause.subject)]))
    if clause.object is not None and clause.gap != "object":
        found.append(("OBJECT", [english.noun_phrase(clause.object, as_object=True)]))
    if clause.indirect is not None:
        found.append(("OBJECT", [english.noun_phrase(clause.indirect, as_object=True)]))
    if clause.whereabouts is not None:
        where = clause.whereabouts
        found.append(("PLACE", [where.english, english.noun_phrase(where.phrase)]))
    if clause.time is not None:
        found.append(("TIME", [clause.time[0]]))
    for name, items in found:
        words = " ".join(word for item in items for word in words_of(item))
        yield name, _TOKEN.findall(words.lower())
