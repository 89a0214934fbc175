"""Translation: sentence pairs in, summed cross-entropy out; BLEU, or another score, on the validation set."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from torch import nn

from registry import Problem, Spec, SpecError
from zoo.data.cache import Rejected
from zoo.data.coder import Coder
from zoo.data.store import Example, ExampleStore, text_array
from zoo.data.tokenizer import Tokenizer
from zoo.generation.output import Output, one_line
from zoo.generation.search import n_positions
from zoo.kinds import METRIC, TASK, TOKENIZER, Row
from zoo.metrics.scripts import tokenizer_advice
from zoo.progress import Report
from zoo.tasks._sequence_pairs import pair_batch, pair_loss
from zoo.tasks._tokenizers import check_tokenizer, learn_tokenizer
from zoo.tasks.task import (
    Batch,
    Loss,
    Refusal,
    Rows,
    Searched,
    Task,
    TaskSpec,
    broken_text,
    ids,
    search_with,
    shortened,
)
from zoo.tasks.word_vectors import WordVectorsSpec, check_widths, fill_embedding, sha256_of

TOO_LONG = "over max_length"
log = logging.getLogger(__name__)


class TranslationSpec(TaskSpec):
    reads: ClassVar = ("source", "target")
    may_read: ClassVar = ("references",)
    searches: ClassVar = True

    type: Literal["translation"] = "translation"
    tokenizer: Annotated[Spec, TOKENIZER] = Field(cast(Any, "sentencepiece"))
    """How text becomes tokens. Learnt from the training text, one for both sides where the model's target
    shares the source's embedding; the vocabulary's size is the model's."""
    max_length: int = Field(256, ge=2, le=10**6)
    """Most tokens of a side in training, its end included."""
    too_long: Literal["drop", "error"] = "drop"
    """What happens to a longer pair: left out and counted, or an error that names it."""
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    """Share of the target probability that is spread over the vocabulary."""
    word_vectors: WordVectorsSpec | None = None
    """Files of pretrained word vectors that a new run's embeddings start from, such as `{source: en.vec}`, and
    target for an embedding of its own; null: none."""
    validation_sentences: int = Field(500, ge=0, le=10**9)
    """Validation sentences that are translated, as `generation` says, for the score; 0 for none."""
    metric: Annotated[Spec, METRIC] = Field(cast(Any, "translation"))
    """How translations are scored, and which score chooses the best checkpoint."""

    def check(self, *, model: Spec) -> None:
        _vocabularies(model)

    def contexts(self, *, model: Spec) -> dict[str, dict[str, Any]]:
        return {"word_vectors": {"is_joint": _is_joint(model)}}

    @property
    def longest(self) -> int:
        return self.max_length


@TASK.register(
    "translation",
    spec=TranslationSpec,
    examples=[{"data": {"type": "grammar", "n_train": 23, "n_dev": 5, "n_test": 7}, "tokenizer": "words"}],
)
class Translation(Task):
    """Learns to translate sentence pairs with an encoder-decoder over tokens.

    Source: Vaswani et al. 2017, sections 5.1 and 5.4.
    Shapes: of a batch as zoo.tasks._sequence_pairs.pair_batch has them.
    """

    is_likely: ClassVar = True
    writes_text: ClassVar = True
    size_keys: ClassVar = ("training.tokens_per_batch", "task.max_length")

    def __init__(
        self,
        *,
        tokenizer: Spec,
        max_length: int,
        too_long: Literal["drop", "error"],
        label_smoothing: float,
        word_vectors: WordVectorsSpec | None,
        validation_sentences: int,
        metric: Spec,
        **inherited: Any,
    ) -> None:
        super().__init__(**inherited)
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.too_long = too_long
        self.label_smoothing = label_smoothing
        self.word_vectors = (word_vectors or WordVectorsSpec()).files
        self.validation_sentences = validation_sentences
        self.metric_spec = metric

    # What is learnt from the data before training

    @property
    def coder_names(self) -> tuple[str, ...]:
        return ("tokenizer",) if _is_joint(self.model) else ("tokenizer.source", "tokenizer.target")

    @property
    def tokenizers(self) -> tuple[Tokenizer, Tokenizer]:
        """The source's and the target's, one and the same where it is joint."""
        found = [cast(Tokenizer, self.coders[name]) for name in self.coder_names]
        return found[0].for_side("source"), found[-1].for_side("target")

    def learn(self, rows: Rows, *, n_rows: int, report: Report | None) -> dict[str, Coder]:
        """The tokenizers, a joint one from both sides' text."""
        sides, sizes = (("source", "target"), _vocabularies(self.model))
        learn = partial(learn_tokenizer, self.tokenizer, rows, n_rows=n_rows, report=report)
        if _is_joint(self.model):
            return {"tokenizer": learn(lambda row: (row["source"], row["target"]), vocab_size=sizes[0])}
        return {
            f"tokenizer.{side}": learn(partial(_text_of, side), vocab_size=size)
            for side, size in zip(sides, sizes, strict=True)
        }

    def check_coders(self, folder: Path) -> None:
        sizes = _vocabularies(self.model)
        for name, side, size in zip(self.coder_names, ("source", "target"), sizes, strict=False):
            check_tokenizer(folder, name, self.coders[name], self.tokenizer, size, side=side)

    def files(self, folder: Path, *, is_resumed: bool) -> Mapping[str, str]:
        """Those of word vectors."""
        if not is_resumed:
            check_widths(self.word_vectors, self.model)
        return sha256_of(self.word_vectors, folder, is_resumed=is_resumed)

    def look_at(self, dev: Iterator[Row]) -> None:
        self.advise([row["target"] for row in dev])

    def advise(self, references: Sequence[str]) -> None:
        """Warns where BLEU's tokenizer cannot cut the language of the references."""
        tokenizer = getattr(self.metric_spec, "tokenizer", None)
        advice = None if tokenizer is None else tokenizer_advice(tokenizer, references)
        if advice is not None:
            log.warning("%s", advice)  # a warning, for that is what is seen without any setting of loggers

    def start(self, model: nn.Module) -> None:
        """Gives embeddings their pretrained word vectors. Raises: DataError for a file that does not fit."""
        tokenizers = dict(zip(("source", "target"), self.tokenizers, strict=True))
        for side, path in self.word_vectors.items():
            fill_embedding(model, side, tokenizers[side], path)

    # From rows to batches

    @property
    def recipe(self) -> str:
        return f"translation {self.max_length} {[tokenizer.sha256 for tokenizer in self.tokenizers]}"

    @property
    def is_strict(self) -> bool:
        return self.too_long == "error"

    def encode(self, rows: Sequence[Row], *, is_scored: bool) -> Sequence[Example | Rejected]:
        sides = [
            tokenizer.encode([row[side] for row in rows])
            for side, tokenizer in zip(("source", "target"), self.tokenizers, strict=True)
        ]
        return [
            self._example(row, source, target, is_scored=is_scored)
            for row, source, target in zip(rows, *sides, strict=True)
        ]

    def _example(
        self, row: Row, source: list[int], target: list[int], *, is_scored: bool
    ) -> Example | Rejected:
        wholes = [
            tokenizer.whole(tokens)
            for tokenizer, tokens in zip(self.tokenizers, (source, target), strict=True)
        ]
        length = max(map(len, wholes))
        if length > self.max_length:
            detail = (
                f"{length} tokens with EOS or BOS, over max_length {self.max_length} (task.too_long=drop leaves "
                "such pairs out and counts them)"
            )
            return Rejected(TOO_LONG, detail)
        example = {
            side: ids(whole, tokenizer.vocab_size)
            for side, whole, tokenizer in zip(("source", "target"), wholes, self.tokenizers, strict=True)
        }
        return {**example, **self.compared(row)} if is_scored else example

    def compared(self, row: Row) -> Example:
        further = row.get("references", ())
        references = (row["target"], *([further] if isinstance(further, str) else further))
        return {"references": text_array("\n".join(map(one_line, references)))}

    def read(self, rows: Sequence[Row], model: nn.Module) -> Sequence[Example | Refusal]:
        encoder = getattr(model, "encoder", None)
        longest = n_positions(encoder) if isinstance(encoder, nn.Module) else None
        broken = [broken_text(row["source"]) for row in rows]
        readable = ["" if why else row["source"] for row, why in zip(rows, broken, strict=True)]
        tokenizer = self.tokenizers[0]
        sources = tokenizer.encode(readable)
        found: list[Example | Refusal] = []
        for row, source, is_broken in zip(rows, sources, broken, strict=True):
            whole = tokenizer.whole(source)
            if why := is_broken or ("" if source else "no token in it") or _refusal(len(whole), longest):
                found.append(Refusal(why))
            else:
                further = self.compared(row) if "target" in row else {}
                found.append({"source": ids(whole, tokenizer.vocab_size), **further})
        return found

    def lengths(self, store: ExampleStore) -> NDArray[np.integer]:
        return np.stack([store.columns[side].lengths() for side in ("source", "target")], axis=1)

    def length(self, example: Example) -> int:
        return len(example["source"])

    def collate(self, examples: Sequence[Example]) -> Batch:
        reader, writer = self.tokenizers
        return pair_batch(examples, source_pad=reader.pad, target_pad=writer.pad, start=writer.start)

    # Learning and predicting

    def loss(self, model: nn.Module, batch: Batch, *, is_training: bool) -> Loss:
        return pair_loss(model, batch, label_smoothing=self.label_smoothing if is_training else 0.0)

    @property
    def n_scored(self) -> int:
        return self.validation_sentences

    def predict(self, model: nn.Module, batch: Batch, *, decoding: Spec | None) -> list[list[Output]]:
        """The translations of each source, best first."""
        assert decoding is not None
        return self.searched(batch, decoding).outputs(model)

    def searched(self, batch: Batch, decoding: Spec) -> Searched:
        tokenizer = self.tokenizers[1]
        search = search_with(decoding, tokenizer)
        return Searched(search, batch["source"], batch.get("source_mask"), tokenizer)

    def written(self, answer: Any) -> dict[str, Any]:
        return {"text": answer[0].text, "score": answer[0].score}

    def sample(self, row: Row, answer: Any) -> dict[str, Any]:
        hypothesis = "" if isinstance(answer, Refusal) else answer[0].text
        texts = {"source": row["source"], "hypothesis": hypothesis, "reference": row["target"]}
        return {name: one_line(text) for name, text in texts.items()}

    def shown(self, row: Row) -> str:
        return f"{shortened(row['source'])} → {shortened(row['target'])}"


def _refusal(length: int, longest: int | None) -> str:
    """Why a source of so many tokens, its end included, cannot be translated; "" if it can."""
    if longest is not None and length > longest:
        return f"{length} tokens, its end included, but the model has positions for {longest}"
    return ""


def _vocabularies(model: Spec) -> tuple[int, int]:
    slots = getattr(model, "slots", {})
    sizes = [getattr(slots.get(side), "vocab_size", None) for side in ("source", "target")]
    if None in sizes:
        message = f"translation needs source and target tokens; {model.type} has not both"
        raise SpecError([Problem("model", message)])
    return cast(tuple[int, int], tuple(sizes))


def _is_joint(model: Any) -> bool:
    return model.slots["source"] is model.slots["target"]


def _text_of(side: str, row: Row) -> tuple[str]:
    return (row[side],)
