"""Constituency parsing as writing: words in, a line of brackets out; labelled bracket F1 on the validation set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.data import brackets
from zoo.data.brackets import Leaf
from zoo.data.cache import Rejected
from zoo.data.coder import Coder
from zoo.data.collate import padded
from zoo.data.listed import ListedTokenizer
from zoo.data.store import Example, ExampleStore, text_array, text_of
from zoo.data.tokenizer import Tokenizer
from zoo.generation.guided import Guided
from zoo.generation.output import Output, outputs
from zoo.generation.search import length_limits, n_positions, searchable
from zoo.kinds import DECODING, METRIC, TASK, TOKENIZER, Row
from zoo.progress import Report, counted
from zoo.special_ids import SpecialIds
from zoo.tasks._bracketing import Bracketing
from zoo.tasks._tokenizers import check_tokenizer
from zoo.tasks._writing import WritingSpec, WritingTask, check_writer
from zoo.tasks.task import Batch, Refusal, Rows, broken_text, ids, require, shortened


class ParsingSpec(WritingSpec):
    reads: ClassVar = ("tree",)

    type: Literal["parsing"] = "parsing"
    tokenizer: Annotated[Spec, TOKENIZER] = Field(cast(Any, "sentencepiece"))
    """How the words, joined by spaces, become tokens, learnt from the training text; of the brackets each is a token.
    The vocabularies' sizes are the model's."""
    metric: Annotated[Spec, METRIC] = Field(cast(Any, "brackets"))
    """How trees are scored, and which score chooses the best checkpoint."""
    leaves: Literal["xx", "tags"] = "xx"
    """What a word is in a line of symbols: XX, whatever its part of speech, as Vinyals et al. found better of much
    text; or that. Of little text parts of speech teach which word is looked at."""
    only_trees: bool = True
    """Whether greedy and beam search write nothing but trees over the sentence's words: brackets that close by their
    labels and are not empty, around as many words. The length must allow it."""

    def check(self, *, model: Spec) -> None:
        check_writer(model)
        require(model, learns={"token"}, reads_tokens=True, writes=True)
        if len({id(slot) for slot in model.slots.values()}) < 2:  # type: ignore[attr-defined]
            raise ValueError(
                "this task reads words and writes brackets: the model's target needs its own embedding"
            )

    @property
    def asks(self) -> tuple[str, ...]:
        return ("text", *self.reads)

    @property
    def longest(self) -> int:
        return self.max_length


@dataclass(frozen=True)
class Parse:
    """What was written for a sentence."""

    tree: str | None
    """Brackets on a line; None where what was written is no tree over the words."""
    symbols: str
    """What was written."""
    score: float
    """Log probability divided by the length penalty."""


@TASK.register(
    "parsing",
    spec=ParsingSpec,
    examples=[
        {"data": {"type": "grammar_trees", "n_train": 23, "n_dev": 5, "n_test": 7}, "tokenizer": "words"}
    ],
)
class Parsing(WritingTask):
    """Learns to write the tree of a sentence as a line of symbols: `(S (NP XX XX )NP (VP XX )VP )S`.

    Words are XX in it, whatever their part of speech, unless `leaves` says tags, and labels have no functions: see
    zoo.data.brackets.symbols.
    Source: Vinyals et al. 2015, "Grammar as a Foreign Language"; Vaswani et al. 2017, section 6.3.
    """

    def __init__(
        self,
        *,
        max_length: int,
        too_long: Literal["drop", "error"],
        label_smoothing: float,
        validation_sentences: int,
        tokenizer: Spec,
        metric: Spec,
        leaves: str,
        only_trees: bool,
        **inherited: Any,
    ) -> None:
        super().__init__(**inherited)
        self.special = SpecialIds()
        self.max_length = max_length
        self.too_long = too_long
        self.label_smoothing = label_smoothing
        self.validation_sentences = validation_sentences
        self.tokenizer = tokenizer
        self.metric_spec = metric
        self.with_tags = leaves == "tags"
        self.only_trees = only_trees

    coder_names = ("tokenizer.source", "tokenizer.target")

    @property
    def source_tokenizer(self) -> Tokenizer:
        """That of the words."""
        return cast(Tokenizer, self.coders["tokenizer.source"])

    @property
    def target_tokenizer(self) -> Tokenizer:
        return cast(Tokenizer, self.coders["tokenizer.target"])

    def learn(self, rows: Rows, *, n_rows: int, report: Report | None) -> dict[str, Coder]:
        trees = [
            brackets.parse(row["tree"])
            for row in counted(rows(), report, "reading trees for the tokenizer", n_rows)
        ]
        builders = (self.tokenizer, TOKENIZER.entry("symbols").spec())
        lines = ((_words(tree) for tree in trees), (self._line(tree) for tree in trees))
        return {
            name: TOKENIZER.build(spec).train(text, vocab_size=size)
            for name, spec, text, size in zip(self.coder_names, builders, lines, self._sizes, strict=True)
        }

    def check_coders(self, folder: Path) -> None:
        specs = (self.tokenizer, TOKENIZER.entry("symbols").spec())
        for name, spec, size in zip(self.coder_names, specs, self._sizes, strict=True):
            check_tokenizer(folder, name, self.coders[name], spec, size)

    @property
    def _sizes(self) -> list[int]:
        return [slot.vocab_size for slot in cast(Any, self.model).slots.values()]

    @property
    def recipe(self) -> str:
        return f"parsing {self.max_length} {self.with_tags} {[self.coders[name].sha256 for name in self.coder_names]}"

    def encode(self, rows: Sequence[Row], *, is_scored: bool) -> Sequence[Example | Rejected]:
        trees = [brackets.parse(row["tree"]) for row in rows]
        sources = self.source_tokenizer.encode([_words(tree) for tree in trees])
        targets = self.target_tokenizer.encode([self._line(tree) for tree in trees])
        return [
            self._example(row, source, target, is_scored=is_scored)
            for row, source, target in zip(rows, sources, targets, strict=True)
        ]

    def _example(
        self, row: Row, source: list[int], target: list[int], *, is_scored: bool
    ) -> Example | Rejected:
        if why := self.rejection(max(len(self._source(source)), 1 + len(target))):
            return why
        example = {"source": self._source(source), "target": self.target_of(target)}
        return {**example, **self.compared(row)} if is_scored else example

    def _line(self, trees: Sequence[brackets.Tree | Leaf]) -> str:
        return " ".join(brackets.symbols(trees, with_tags=self.with_tags))

    def _source(self, tokens: Sequence[int]) -> NDArray[np.integer]:
        return ids(self.source_tokenizer.whole(tokens), self.source_tokenizer.vocab_size)

    def compared(self, row: Row) -> Example:
        return {"tree": text_array(row["tree"])}

    def read(self, rows: Sequence[Row], model: nn.Module) -> Sequence[Example | Refusal]:
        """Of rows with a tree, or with a `text` whose words have spaces between them."""
        longest = n_positions(cast(Any, model).encoder)
        return [self._read(row, longest) for row in rows]

    def _read(self, row: Row, longest: int | None) -> Example | Refusal:
        if "tree" in row:
            words, further = _words(brackets.parse(row["tree"])), self.compared(row)
        else:
            words, further = " ".join(row["text"].split()), {}
            if why := broken_text(words) or ("" if words else "no word in it"):
                return Refusal(why)
        source = self._source(self.source_tokenizer.encode([words])[0])
        if longest is not None and len(source) > longest:
            return Refusal(
                f"{len(source)} tokens, its end included, but the model has positions for {longest}"
            )
        return {"source": source, "words": text_array(words), **further}

    def lengths(self, store: ExampleStore) -> NDArray[np.integer]:
        return np.stack([store.columns[side].lengths() for side in ("source", "target")], axis=1)

    def length(self, example: Example) -> int:
        return len(example["source"])

    def sources(self, examples: Sequence[Example]) -> tuple[Tensor, Tensor | None, int]:
        source, mask = padded([example["source"] for example in examples], fill=self.source_tokenizer.pad)
        return source, mask, source.numel() if mask is None else int(mask.sum())

    def collate(self, examples: Sequence[Example]) -> Batch:
        batch = super().collate(examples)
        if not {"tree", "words"}.isdisjoint(examples[0]):
            batch.examples = examples  # of their words the answers are trees
        return batch

    def predict(self, model: nn.Module, batch: Batch, *, decoding: Spec | None) -> list[Parse]:
        """The tree of each sentence."""
        words = [_leaves(example) for example in batch.examples]
        search = DECODING.build(cast(Spec, decoding))
        if self.only_trees and hasattr(search, "search"):
            found = self._bracketed(model, batch, search, [len(each) for each in words])
        else:
            found = self.written_outputs(model, batch, decoding)
        return [_parse(hypotheses[0], each) for hypotheses, each in zip(found, words, strict=True)]

    def _bracketed(
        self, model: nn.Module, batch: Batch, search: Any, n_words: Sequence[int]
    ) -> list[list[Output]]:
        """What the search finds for sentences of n_words words each when it is led to trees."""
        tokenizer = self.target_tokenizer
        under_way = searchable(model, batch["source"], batch.get("source_mask"), search.ids)
        limits = length_limits(under_way, search.limit, search.ids)
        tokens = cast(ListedTokenizer, tokenizer).tokens()
        grammar = Bracketing(tokens, n_words, limits, end=search.ids.ends[0])
        guided = Guided(under_way, grammar, spare=self.special.pad)
        is_token = torch.tensor(tokenizer.is_token(), dtype=torch.bool)
        return [outputs(found, tokenizer) for found in search.search(guided, is_token=is_token)]

    def written(self, answer: Any) -> dict[str, Any]:
        return {"tree": answer.tree, "symbols": answer.symbols, "score": answer.score}

    def shown(self, row: Row) -> str:
        tree = brackets.parse(row["tree"])
        return f"{shortened(_words(tree))} → {shortened(self._line(tree))}"


def _words(trees: Sequence[brackets.Tree | Leaf]) -> str:
    return " ".join(leaf.word for leaf in brackets.leaves(trees))


def _leaves(example: Example) -> list[Leaf]:
    """The words of an example, without parts of speech where it has no tree."""
    if "tree" in example:
        return brackets.leaves(brackets.parse(text_of(example["tree"])))
    return [Leaf(brackets.WORD, word) for word in text_of(example["words"]).split(" ")]


def _parse(found: Output, words: Sequence[Leaf]) -> Parse:
    line = found.text.split()
    try:
        tree = brackets.bracketed(brackets.with_words(line, words))
    except ValueError:
        tree = None
    return Parse(tree, " ".join(line), found.score)
