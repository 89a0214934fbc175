"""Text classification and regression: one text or a pair of them in, one of a few classes or a number out."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from registry import Spec
from zoo.data.cache import Rejected
from zoo.data.collate import padded
from zoo.data.store import Example, ExampleStore
from zoo.errors import DataError
from zoo.kinds import METRIC, TASK, Row
from zoo.tasks._labelled import Labelled, LabelledSpec
from zoo.tasks.task import Batch, Loss, Refusal, broken_text, ids, shortened, total

EMPTY = "no token in it"
Truncation = Literal["head", "head_and_tail"]
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


class TextClassificationSpec(LabelledSpec):
    reads: ClassVar = ("text", "label")
    may_read: ClassVar = ("text_pair",)

    type: Literal["text_classification"] = "text_classification"
    truncation: Truncation = "head"
    """What is kept of a text over max_length: its beginning; or its first quarter and the rest from its end (Sun et al.
    2019, section 5.3.1). Of a pair the longer text is cut first."""
    metric: Annotated[Spec | None, METRIC] = None
    """How answers are scored, and which score chooses the best checkpoint; null: classification, or regression where
    the head has one class."""

    def check(self, *, model: Spec) -> None:
        self.check_model(model, "sequence")
        head: Any = model.head  # type: ignore[attr-defined]
        if model.writes is not None and getattr(head, "pool", None) == "first":  # type: ignore[attr-defined]
            raise ValueError(
                f"the head's pool is first, and the first token of {model.type} sees no other; set pool=last or mean"
            )
        is_regression = head.n_classes == 1
        if is_regression and self.label_smoothing:
            raise ValueError(
                "label_smoothing is of classes; the head has one (n_classes 1), which is a regression"
            )
        wanted = "numbers" if is_regression else "classes"
        if (given := getattr(self.metric, "compares", wanted)) != wanted:
            raise ValueError(
                f"the metric {cast(Spec, self.metric).type} compares {given}; a head of n_classes {head.n_classes} "
                f"gives {wanted}"
            )


@dataclass(frozen=True)
class ClassAnswer:
    """A class, and how probable each one is."""

    label: str
    number: int
    probabilities: Mapping[str, float]


@dataclass(frozen=True)
class NumberAnswer:
    """The number of a regression."""

    value: float


@TASK.register(
    "text_classification",
    spec=TextClassificationSpec,
    examples=[
        {"data": {"type": "grammar_sentences", "n_train": 23, "n_dev": 5, "n_test": 7}, "tokenizer": "words"}
    ],
)
class TextClassification(Labelled):
    """Learns the class of a text, or of two; with a head of one class, a number.

    An input is BOS, the text's tokens, EOS; of a pair the second text and another EOS follow. Where the embedding has
    token types, those up to the first EOS are of type 0, the others of type 1. With a tokenizer that came with a
    checkpoint, what stands around texts, and of which types, is as it says.
    Source: Devlin et al. 2019, sections 3 and 4.1, for an encoder; Radford et al. 2018, section 3.2, for a decoder.
    Shapes: of a batch, inputs int64 [B, T], mask bool [B, T] | None, types int64 [B, T] | None, and label int64 [B], of
        a regression float32 [B].
    """

    def __init__(self, *, model: Spec, truncation: Truncation, metric: Spec | None, **inherited: Any) -> None:
        self.is_regression = model.head.n_classes == 1  # type: ignore[attr-defined]
        usual = METRIC.entry("regression" if self.is_regression else "classification").spec
        super().__init__(model=model, metric=metric or usual(), **inherited)
        self.truncation = truncation
        self.has_types: bool = getattr(model.slots[self.slot], "n_types", 0) > 1  # type: ignore[attr-defined]

    @property
    def has_labels(self) -> bool:
        return not self.is_regression

    def texts_of(self, row: Row) -> list[str]:
        return [row["text"], *([row["text_pair"]] if row.get("text_pair") else [])]

    def labels_of(self, row: Row) -> list[str]:
        return [label] if (label := _name(row["label"])) else []

    # From rows to batches

    @property
    def recipe(self) -> str:
        coders = [self.coders[name].sha256 for name in self.coder_names]
        return f"text_classification, with cut, {self.max_length} {self.truncation} {self.has_types} {coders}"

    def encode(self, rows: Sequence[Row], *, is_scored: bool) -> Sequence[Example | Rejected]:
        return [self._example(row, each) for row, each in zip(rows, self._inputs(rows), strict=True)]

    def _example(self, row: Row, example: Example) -> Example | Rejected:
        if why := self._wrong_label(row):
            return Rejected("unusable label", why, is_bad=True)
        if not len(example["inputs"]):
            return Rejected("empty", EMPTY)
        return {**example, **self.compared(row)}

    def compared(self, row: Row) -> Example:
        """Raises: DataError for a label that is none of those learnt, with which nothing can be compared."""
        if why := self._wrong_label(row):
            raise DataError(f"{why}; the text is {shortened(row['text'])!r}")
        if self.is_regression:
            return {"label": np.array([float(row["label"])], np.float64)}
        return {"label": np.array([self.labels.number(_name(row["label"]))], np.int32)}

    def read(self, rows: Sequence[Row], model: nn.Module) -> Sequence[Example | Refusal]:
        broken = ["".join(broken_text(text) for text in self.texts_of(row))[:60] for row in rows]
        readable = [{"text": ""} if why else row for row, why in zip(rows, broken, strict=True)]
        return [
            Refusal(why or EMPTY)
            if why or not len(example["inputs"])
            else {**example, **(self.compared(row) if "label" in row else {})}
            for row, why, example in zip(rows, broken, self._inputs(readable), strict=True)
        ]

    def _wrong_label(self, row: Row) -> str:
        """Why a row's label cannot be learnt or compared; "" if it can."""
        label = _name(row["label"])
        if self.is_regression:
            is_number = _NUMBER.fullmatch(label) is not None and math.isfinite(float(label))
            return (
                ""
                if is_number
                else f"the label {label!r} is no number (model.head.n_classes 1: a regression)"
            )
        return "" if self.labels.number(label) is not None else self.unknown(label)

    def _inputs(self, rows: Sequence[Row]) -> list[Example]:
        texts = [self.texts_of(row) for row in rows]
        encoded = iter(self.tokenizer.encode([text for each in texts for text in each]))
        return [self._input([next(encoded) for _ in each]) for each in texts]

    def _input(self, parts: Sequence[Sequence[int]]) -> Example:
        room = max(0, self.max_length - self.tokenizer.n_framing(len(parts)))
        shares = _shares([len(part) for part in parts], room)
        kept = [_cut(part, length, self.truncation) for part, length in zip(parts, shares, strict=True)]
        tokens, types = self.tokenizer.framed(*kept)
        n_cut = sum(map(len, parts)) - sum(map(len, kept))
        example = {"inputs": ids(tokens, self.tokenizer.vocab_size), "cut": np.array([n_cut], np.int64)}
        return {**example, "types": np.array(types, np.uint8)} if self.has_types else example

    @property
    def cut_to(self) -> int:
        return self.max_length

    def n_cut(self, example: Example) -> int:
        return int(example["cut"][0])

    def cuts(self, store: ExampleStore) -> NDArray[np.integer]:
        return store.columns["cut"].values

    def collate(self, examples: Sequence[Example]) -> Batch:
        inputs, mask = padded([example["inputs"] for example in examples], fill=self.tokenizer.pad)
        B, T = inputs.shape
        tensors: dict[str, torch.Tensor | None] = {"inputs": inputs, "mask": mask, "types": None}
        if self.has_types:
            tensors["types"], _ = padded([example["types"] for example in examples])
        if all("label" in example for example in examples):
            labels = torch.tensor([example["label"][0] for example in examples])
            tensors["label"] = labels.to(torch.float32 if self.is_regression else torch.int64)
        n_tokens = B * T if mask is None else int(mask.sum())
        return Batch(tensors, size=f"{B} × {T} tokens", n_processed=n_tokens)

    # Learning and predicting

    def loss(self, model: nn.Module, batch: Batch, *, is_training: bool) -> Loss:
        """Cross-entropy of each row's class, or the squared error of its number."""
        hidden, mask = self.hidden(model, batch)
        smoothing = self.label_smoothing if is_training else 0.0
        head = cast(Any, model).head
        return total(head.loss(hidden, batch["label"], mask=mask, label_smoothing=smoothing), model, batch)

    def predict(
        self, model: nn.Module, batch: Batch, *, decoding: Spec | None
    ) -> list[ClassAnswer] | list[NumberAnswer]:
        hidden, mask = self.hidden(model, batch)
        logits = cast(Any, model).head(hidden, mask=mask).double()  # [B, n_classes]
        if self.is_regression:
            return [NumberAnswer(value) for value in logits[:, 0].tolist()]
        names = self.labels.names
        return [
            ClassAnswer(names[number], number, dict(zip(names, row, strict=True)))
            for number, row in zip(logits.argmax(1).tolist(), logits.softmax(1).tolist(), strict=True)
        ]

    def written(self, answer: Any) -> dict[str, Any]:
        if isinstance(answer, NumberAnswer):
            return {"value": answer.value}
        return {"label": answer.label, "probabilities": dict(answer.probabilities)}

    def sample(self, row: Row, answer: Any) -> dict[str, Any]:
        texts = {
            f"text {number}" if number else "text": text for number, text in enumerate(self.texts_of(row))
        }
        found = answer.why if isinstance(answer, Refusal) else next(iter(self.written(answer).values()))
        return {
            **{name: shortened(text, 200) for name, text in texts.items()},
            "answer": found,
            "label": row["label"],
        }

    def shown(self, row: Row) -> str:
        return f"{' | '.join(map(shortened, self.texts_of(row)))} → {row['label']}"


def _name(label: Any) -> str:
    """A label as it is known by: of JSON's numbers their digits."""
    return label if isinstance(label, str) else repr(label)


def _shares(lengths: Sequence[int], room: int) -> list[int]:
    """How much is kept of each of one or two texts, so that the longer one is cut to the other before that is cut."""
    if len(lengths) == 1 or sum(lengths) <= room:
        return [min(length, room) for length in lengths]
    first = min(lengths[0], max(room - lengths[1], (room + 1) // 2))
    return [first, room - first]


def _cut(tokens: Sequence[int], length: int, truncation: Truncation) -> list[int]:
    if len(tokens) <= length or truncation == "head":
        return list(tokens[:length])
    head = length // 4
    return [*tokens[:head], *tokens[len(tokens) - (length - head) :]]
