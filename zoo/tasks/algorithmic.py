"""Algorithmic tasks: a sequence of ids in, what is asked at some of its places out; accuracy by length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from torch import nn

from registry import Spec
from zoo.data.cache import Rejected
from zoo.data.coder import Coder
from zoo.data.collate import padded
from zoo.data.store import Example, ExampleStore
from zoo.generation.search import n_positions
from zoo.kinds import METRIC, TASK, Row
from zoo.progress import Report
from zoo.special_ids import NOT_ASKED, PAD
from zoo.tasks.task import Batch, Loss, Refusal, Rows, Task, TaskSpec, ids, require, shortened, total

UNUSABLE = "unusable sequence"
IGNORED = -100
"""What also says that nothing is asked: torch's cross-entropy leaves this label out, and many files hold it."""


class AlgorithmicSpec(TaskSpec):
    reads: ClassVar = ("tokens", "labels")
    longest_key: ClassVar = "data.lengths or task.data.test_lengths"

    type: Literal["algorithmic"] = "algorithmic"
    metric: Annotated[Spec, METRIC] = Field(cast(Any, "algorithmic"))
    """How answers are scored, and which score chooses the best checkpoint."""

    def check(self, *, model: Spec) -> None:
        require(model, learns={"token"}, reads_tokens=True, has_one_input=True)
        described = cast(Any, model)
        if not hasattr(described.head, "predicts"):
            raise ValueError(
                f"this task needs a head that predicts a vocabulary; {described.head.type} does not"
            )
        ((name, slot),) = described.slots.items()
        needed = getattr(self.data, "n_ids", 0)
        if slot.vocab_size < needed:
            raise ValueError(
                f"the sequences have {needed} ids, marks included, but the model's vocabulary has {slot.vocab_size}; "
                f"set model.{name}.vocab_size={needed}"
            )

    @property
    def longest(self) -> int:
        return max((*getattr(self.data, "lengths", ()), *getattr(self.data, "test_lengths", ())), default=0)


@dataclass(frozen=True)
class Answered:
    """What a model says at each place of a sequence, also where nothing is asked."""

    tokens: list[int]
    """The most probable id of each place."""


@TASK.register(
    "algorithmic",
    spec=AlgorithmicSpec,
    examples=[
        {
            "data": {
                "type": "copy", "n_symbols": 2, "lengths": [5, 7], "test_lengths": [5, 9], "n_train": 23, "n_dev": 7,
                "n_test": 5,
            }
        }
    ],
)  # fmt: skip
class Algorithmic(Task):
    """Learns what is asked at some places of a sequence, in one pass, with a model of one input.

    Rows have `tokens`, ids [T], and `labels` [T]: the id that is asked for at a place, or -1 (or -100, as torch has it)
    where nothing is. Only what is asked for is learnt and scored. Nothing that is asked for is read, so an answer
    cannot lean on those before it.
    Source: Graves et al. 2014 (copy, recall, sorting); answers where they are asked for: Arjovsky et al. 2016, Arora et
        al. 2023.
    Shapes: of a batch, by the name of the model's input, ids int64 [B, T]; mask bool [B, T] or None where nothing is
        padded; of the N places at which something is asked, places int64 [N] in a flattened [B, T], and labels int64
        [N].
    """

    is_likely: ClassVar = True
    coder_names: ClassVar = ()
    size_keys: ClassVar = ("training.tokens_per_batch", "task.data.lengths")

    def __init__(self, *, metric: Spec, **inherited: Any) -> None:
        super().__init__(**inherited)
        self.metric_spec = metric
        self.slot, embedding = next(iter(self.model.slots.items()))  # type: ignore[attr-defined]
        self.vocab_size: int = embedding.vocab_size

    def learn(self, rows: Rows, *, n_rows: int, report: Report | None) -> dict[str, Coder]:
        return {}

    # From rows to batches

    @property
    def recipe(self) -> str:
        return f"algorithmic {self.vocab_size}"

    def encode(self, rows: Sequence[Row], *, is_scored: bool) -> Sequence[Example | Rejected]:
        return [self._example(row) for row in rows]

    def _example(self, row: Row) -> Example | Rejected:
        try:
            tokens, labels = self._tokens(row["tokens"]), _labels(row["labels"])
        except ValueError as error:
            return Rejected(UNUSABLE, str(error), is_bad=True)
        if len(tokens) != len(labels):
            return Rejected(UNUSABLE, f"{len(tokens)} tokens, but {len(labels)} labels", is_bad=True)
        if labels.min() < NOT_ASKED or labels.max() >= self.vocab_size:
            why = (
                f"labels are ids below {self.vocab_size}, or {NOT_ASKED} (or {IGNORED}) where nothing is asked, and "
                f"here they go from {labels.min()} to {labels.max()}"
            )
            return Rejected(UNUSABLE, why, is_bad=True)
        if labels.max() == NOT_ASKED:
            return Rejected(UNUSABLE, "nothing is asked in it", is_bad=True)
        return {"tokens": ids(tokens.tolist(), self.vocab_size), "labels": labels.astype(np.int32)}

    def _tokens(self, value: Any) -> NDArray[np.integer]:
        """The ids of a sequence. Raises: ValueError, saying why, for one that the model cannot read."""
        tokens = _whole(value)
        if not len(tokens):
            raise ValueError("no token in it")
        if tokens.min() < 0 or tokens.max() >= self.vocab_size:
            raise ValueError(
                f"ids from {tokens.min()} to {tokens.max()}, but the model's are 0 to {self.vocab_size - 1}"
            )
        return tokens

    def compared(self, row: Row) -> Example:
        return {"labels": _labels(row["labels"]).astype(np.int32)}

    def read(self, rows: Sequence[Row], model: nn.Module) -> Sequence[Example | Refusal]:
        longest = n_positions(model)
        return [self._readable(row, longest) for row in rows]

    def _readable(self, row: Row, longest: int | None) -> Example | Refusal:
        try:
            tokens = self._tokens(row["tokens"])
            asked = self.compared(row) if "labels" in row else {}
        except ValueError as error:
            return Refusal(str(error))
        if longest is not None and len(tokens) > longest:
            return Refusal(f"{len(tokens)} tokens, but the model has positions for {longest}")
        return {"tokens": ids(tokens.tolist(), self.vocab_size), **asked}

    def row_of_numbers(self, row: Row) -> Row:
        return {**row, "tokens": _whole(row["tokens"])}

    def lengths(self, store: ExampleStore) -> NDArray[np.integer]:
        return store.columns["tokens"].lengths()[:, None]

    def length(self, example: Example) -> int:
        return len(example["tokens"])

    def collate(self, examples: Sequence[Example]) -> Batch:
        tokens, mask = padded([example["tokens"] for example in examples], fill=PAD)
        B, T = tokens.shape
        tensors = {self.slot: tokens, "mask": mask}
        if "labels" in examples[0]:
            labels = padded([example["labels"] for example in examples], fill=NOT_ASKED)[0].flatten()
            tensors["places"] = (labels != NOT_ASKED).nonzero()[:, 0]
            tensors["labels"] = labels[tensors["places"]]
        n_tokens = B * T if mask is None else int(mask.sum())
        return Batch(tensors, size=f"{B} × {T} tokens", n_processed=n_tokens)

    # Learning and predicting

    def loss(self, model: nn.Module, batch: Batch, *, is_training: bool) -> Loss:
        """Cross-entropy of what is asked for."""
        hidden, _ = self.hidden(model, batch)  # [B, T, D]
        asked = hidden.flatten(0, 1).index_select(0, batch["places"])  # [N, D]
        return total(cast(Any, model).head.loss(asked, batch["labels"], label_smoothing=0.0), model, batch)

    def predict(self, model: nn.Module, batch: Batch, *, decoding: Spec | None) -> list[Answered]:
        hidden, _ = self.hidden(model, batch)
        best = cast(Any, model).head(hidden).argmax(-1)  # [B, T]
        mask = batch.get("mask")
        n_real = [best.shape[1]] * len(best) if mask is None else mask.sum(1).tolist()
        return [Answered(row[:n]) for row, n in zip(best.tolist(), n_real, strict=True)]

    def written(self, answer: Any) -> dict[str, Any]:
        return {"tokens": answer.tokens}

    def sample(self, row: Row, answer: Any) -> dict[str, Any]:
        labels = _labels(row["labels"])
        asked = np.flatnonzero(labels != NOT_ASKED)
        found = answer.why if isinstance(answer, Refusal) else _text(np.asarray(answer.tokens)[asked])
        return {
            "tokens": _text(row["tokens"]),
            "answer": found,
            "label": _text(labels[asked]),
        }

    def shown(self, row: Row) -> str:
        labels = _labels(row["labels"])
        return f"{_text(row['tokens'])} → {_text(labels[labels != NOT_ASKED])}"


def _labels(value: Any) -> NDArray[np.integer]:
    """As `_whole`, each place at which nothing is asked NOT_ASKED."""
    found = _whole(value)
    return np.where(found == IGNORED, NOT_ASKED, found)


def _whole(value: Any) -> NDArray[np.integer]:
    """Whole numbers in a list, or in a line with spaces between them. Raises: ValueError for anything else."""
    found = np.asarray(value.split() or [] if isinstance(value, str) else value)
    if isinstance(value, str):
        found = found.astype(np.int64)
    if found.ndim != 1 or (found.size and found.dtype.kind not in "iu"):
        raise ValueError("it is no list of whole numbers")
    return found


def _text(numbers: Any) -> str:
    return shortened(" ".join(map(str, numbers)), 200)
