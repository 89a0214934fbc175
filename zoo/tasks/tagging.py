"""Token tagging: words in, a tag of each one out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, cast

import numpy as np
import torch
from pydantic import Field
from torch import nn

from registry import Spec
from zoo.data.cache import Rejected
from zoo.data.collate import padded
from zoo.data.store import Example, text_array
from zoo.errors import DataError
from zoo.kinds import METRIC, TASK, Row
from zoo.metrics.tagging import is_span_tag
from zoo.tasks._labelled import Labelled, LabelledSpec
from zoo.tasks.task import Batch, Loss, Refusal, broken_text, ids, shortened, total

TOO_LONG = "over max_length"


class TaggingSpec(LabelledSpec):
    reads: ClassVar = ("tokens", "tags")

    type: Literal["tagging"] = "tagging"
    too_long: Literal["drop", "error"] = "drop"
    """What happens to a longer sentence in training: left out and counted, or an error that names it."""
    metric: Annotated[Spec, METRIC] = Field(cast(Any, "tagging"))
    """How tags are scored, and which score chooses the best checkpoint."""

    def check(self, *, model: Spec) -> None:
        self.check_model(model, "token")
        if hasattr(head := model.head, "predicts"):  # type: ignore[attr-defined]
            raise ValueError(f"this task needs a head of classes; {head.type} predicts tokens")


@dataclass(frozen=True)
class TagAnswer:
    """The tag of each word, and how probable it is."""

    tags: tuple[str, ...]
    probabilities: tuple[float, ...]


@TASK.register(
    "tagging",
    spec=TaggingSpec,
    examples=[
        {"data": {"type": "grammar_sentences", "n_train": 23, "n_dev": 5, "n_test": 7}, "tokenizer": "words"}
    ],
)
class Tagging(Labelled):
    """Learns the tag of each word of a sentence.

    Each word is cut into pieces by itself, and stands where its first piece does; BOS and EOS are around them all,
    or what a tokenizer that came with a checkpoint says.
    Source: Devlin et al. 2019, section 5.3.
    Shapes: of a batch, inputs int64 [B, T], mask bool [B, T] | None; of its N words, places int64 [N] in a flattened
        [B, T], and labels int64 [N].
    """

    def __init__(self, *, too_long: Literal["drop", "error"], **inherited: Any) -> None:
        super().__init__(**inherited)
        self.too_long = too_long

    def texts_of(self, row: Row) -> Sequence[str]:
        return _words_of(row["tokens"])

    def labels_of(self, row: Row) -> Sequence[str]:
        return _words_of(row["tags"])

    def check_labels(self, names: Sequence[str]) -> None:
        super().check_labels(names)
        others = [name for name in names if not is_span_tag(name)]
        if others and getattr(self.metric_spec, "counts_spans", False):
            raise DataError(
                f"task.metric asks for scores of spans, and {others[0]!r} is no tag of spans, "
                "such as B-PER, I-PER and O; task.metric=tagging asks for accuracy alone"
            )

    # From rows to batches

    @property
    def recipe(self) -> str:
        return f"tagging {self.max_length} {[self.coders[name].sha256 for name in self.coder_names]}"

    def encode(self, rows: Sequence[Row], *, is_scored: bool) -> Sequence[Example | Rejected]:
        return [
            self._example(row, example, is_scored=is_scored)
            for row, example in zip(
                rows, self._inputs([_words_of(row["tokens"]) for row in rows]), strict=True
            )
        ]

    @property
    def is_strict(self) -> bool:
        return self.too_long == "error"

    def _example(self, row: Row, example: Example, *, is_scored: bool) -> Example | Rejected:
        if why := self._wrong_tags(row):
            return Rejected("unusable tags", why, is_bad=True)
        if len(example["inputs"]) > self.max_length:
            return Rejected(TOO_LONG, f"{len(example['inputs'])} tokens, over max_length {self.max_length}")
        numbers = np.array([self.labels.number(tag) for tag in _words_of(row["tags"])], np.int32)
        return {**example, "labels": numbers, **(self.compared(row) if is_scored else {})}

    def _wrong_tags(self, row: Row) -> str:
        words, tags = _words_of(row["tokens"]), _words_of(row["tags"])
        if len(words) != len(tags):
            return f"{len(words)} tokens, but {len(tags)} tags"
        if not words:
            return "no token in it"
        if any("\n" in tag for tag in tags):
            return "a tag with a line end in it"
        unknown = [tag for tag in tags if self.labels.number(tag) is None]
        return self.unknown(unknown[0]) if unknown else ""

    def compared(self, row: Row) -> Example:
        return {"tags": text_array("\n".join(_words_of(row["tags"])))}

    def read(self, rows: Sequence[Row], model: nn.Module) -> Sequence[Example | Refusal]:
        sentences = [_words_of(row["tokens"]) for row in rows]
        broken = [next(filter(None, map(broken_text, words)), "") for words in sentences]
        readable = [[] if why else words for words, why in zip(sentences, broken, strict=True)]
        found: list[Example | Refusal] = []
        for row, is_broken, example in zip(rows, broken, self._inputs(readable), strict=True):
            length = len(example["inputs"])
            why = "" if len(example["places"]) else "no token in it"
            if length > self.max_length:
                why = f"{length} tokens with the first and the last, but the task takes {self.max_length}"
            if refused := is_broken or why:
                found.append(Refusal(refused))
            else:
                found.append({**example, **(self.compared(row) if "tags" in row else {})})
        return found

    def _inputs(self, sentences: Sequence[Sequence[str]]) -> list[Example]:
        tokenizer, found = self.tokenizer, list[Example]()
        unknown = tokenizer.end if tokenizer.unk is None else tokenizer.unk
        n_before = [number for number, _ in tokenizer.frames[0]].index(None)
        for words in tokenizer.encode_words(sentences):
            tokens: list[int] = []
            places = []
            for pieces in words:
                places.append(n_before + len(tokens))
                tokens += pieces or [unknown]  # of what the tokenizer leaves out, such as a lone space
            inputs = ids(tokenizer.framed(tokens)[0], tokenizer.vocab_size)
            found.append({"inputs": inputs, "places": np.array(places, np.int32)})
        return found

    def collate(self, examples: Sequence[Example]) -> Batch:
        inputs, mask = padded([example["inputs"] for example in examples], fill=self.tokenizer.pad)
        B, T = inputs.shape
        places = np.concatenate([row * T + example["places"] for row, example in enumerate(examples)])
        tensors: dict[str, torch.Tensor | None] = {"inputs": inputs, "mask": mask}
        tensors["places"] = torch.from_numpy(places.astype(np.int64))
        tensors["n_words"] = torch.tensor([len(example["places"]) for example in examples])
        if all("labels" in example for example in examples):
            labels = np.concatenate([example["labels"] for example in examples])
            tensors["labels"] = torch.from_numpy(labels.astype(np.int64))
        n_tokens = B * T if mask is None else int(mask.sum())
        return Batch(tensors, size=f"{B} × {T} tokens", n_processed=n_tokens)

    # Learning and predicting

    def _words(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        """The vectors [N, D] of the words' first pieces."""
        hidden, _ = self.hidden(model, batch)
        return hidden.flatten(0, 1).index_select(0, batch["places"])

    def loss(self, model: nn.Module, batch: Batch, *, is_training: bool) -> Loss:
        """Cross-entropy of each word's tag."""
        smoothing = self.label_smoothing if is_training else 0.0
        words, head = self._words(model, batch), cast(Any, model).head
        return total(head.loss(words, batch["labels"], label_smoothing=smoothing), model, batch)

    def predict(self, model: nn.Module, batch: Batch, *, decoding: Spec | None) -> list[TagAnswer]:
        logits = cast(Any, model).head(self._words(model, batch)[None])[0]  # [N, n_classes]
        best, numbers = logits.double().softmax(1).max(1)
        names, n_words = self.labels.names, batch["n_words"].tolist()
        return [
            TagAnswer(tuple(names[number] for number in row.tolist()), tuple(some.tolist()))
            for row, some in zip(numbers.cpu().split(n_words), best.cpu().split(n_words), strict=True)
        ]

    def written(self, answer: Any) -> dict[str, Any]:
        return {"tags": list(answer.tags), "probabilities": list(answer.probabilities)}

    def sample(self, row: Row, answer: Any) -> dict[str, Any]:
        tags = [answer.why] if isinstance(answer, Refusal) else answer.tags
        texts = {"tokens": _words_of(row["tokens"]), "answer": tags, "tags": _words_of(row["tags"])}
        return {name: shortened(" ".join(words), 200) for name, words in texts.items()}

    def shown(self, row: Row) -> str:
        pairs = zip(_words_of(row["tokens"]), _words_of(row["tags"]), strict=True)
        return shortened(" ".join(f"{word}/{tag}" for word, tag in pairs), 120)


def _words_of(value: Any) -> Sequence[str]:
    """The words of a field: a list of them, or a text that has spaces between them."""
    words: Sequence[str] = value.split() if isinstance(value, str) else value
    return words
