"""What the tasks that give text labels have in common: a tokenizer, the labels' names, one model that reads it all."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.data.coder import Coder
from zoo.data.labels import Labels
from zoo.data.store import Example, ExampleStore
from zoo.data.tokenizer import Tokenizer
from zoo.errors import DataError, RunError
from zoo.kinds import TOKENIZER, Row, mask_name
from zoo.losses import Learns
from zoo.progress import Report, counted
from zoo.tasks._tokenizers import check_tokenizer, learn_tokenizer
from zoo.tasks.task import Batch, Rows, Task, TaskSpec, require

NAMED = 20  # labels that a message names


class LabelledSpec(TaskSpec):
    tokenizer: Annotated[Spec, TOKENIZER] = Field(cast(Any, "sentencepiece"))
    """How text becomes tokens, learnt from the training text; the vocabulary's size is the model's."""
    max_length: int = Field(512, ge=4, le=10**6)
    """Most tokens of an input, its first and its last included."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Share of the target probability that is spread over the classes."""

    @property
    def longest(self) -> int:
        return self.max_length

    def check_model(self, model: Spec, learns: Learns) -> None:
        """Raises: ValueError for a model that does not read one text, or has no head of classes that learns so."""
        require(model, learns={learns}, reads_tokens=True, has_one_input=True)
        head: Spec = model.head  # type: ignore[attr-defined]
        if not hasattr(head, "n_classes"):
            raise ValueError(f"this task needs a head with n_classes; {head.type} has none")


class Labelled(Task):
    """Gives labels to text, by one model of one input.

    Shapes: of a batch, inputs int64 [B, T], and mask bool [B, T] or None where nothing is padded.
    """

    size_keys = ("training.tokens_per_batch", "task.max_length")

    def __init__(
        self,
        *,
        tokenizer: Spec,
        max_length: int,
        label_smoothing: float,
        metric: Spec,
        **inherited: Any,
    ) -> None:
        super().__init__(**inherited)
        self.tokenizer_spec = tokenizer
        self.max_length = max_length
        self.label_smoothing = label_smoothing
        self.metric_spec = metric
        self.n_classes: int = self.model.head.n_classes  # type: ignore[attr-defined]
        self.slot, embedding = next(iter(self.model.slots.items()))  # type: ignore[attr-defined]
        self.vocab_size: int = embedding.vocab_size
        self.mask_name = mask_name(cast(Any, self.model), self.slot)

    # What is learnt from the data before training

    @property
    def has_labels(self) -> bool:
        """Whether labels are names of classes rather than numbers."""
        return True

    @property
    def coder_names(self) -> tuple[str, ...]:
        return ("tokenizer", "labels") if self.has_labels else ("tokenizer",)

    @property
    def tokenizer(self) -> Tokenizer:
        """That of the run."""
        return cast(Tokenizer, self.coders["tokenizer"])

    @property
    def labels(self) -> Labels:
        """The classes of the run."""
        return cast(Labels, self.coders["labels"])

    @abstractmethod
    def texts_of(self, row: Row) -> Sequence[str]:
        """What the tokenizer learns from a row."""

    @abstractmethod
    def labels_of(self, row: Row) -> Sequence[str]:
        """The labels of a row, those left out that are none."""

    def learn(self, rows: Rows, *, n_rows: int, report: Report | None) -> dict[str, Coder]:
        """The labels that occur and the tokenizer. Raises: DataError where the head has not as many classes."""
        found: dict[str, Coder] = {}
        if self.has_labels:
            read = counted(rows(), report, "reading labels", n_rows)
            labels = Labels.of(label for row in read for label in self.labels_of(row))
            self.check_labels(labels.names)
            found["labels"] = labels
        if "tokenizer" in self.coders:
            return found
        tokenizer = learn_tokenizer(
            self.tokenizer_spec,
            rows,
            self.texts_of,
            vocab_size=self.vocab_size,
            n_rows=n_rows,
            report=report,
        )
        return {"tokenizer": tokenizer, **found}

    def check_labels(self, names: Sequence[str]) -> None:
        """Raises: DataError where the head has not as many classes as there are labels."""
        if len(names) != self.n_classes:
            more = ", ..." if len(names) > NAMED else ""
            raise DataError(
                f"the training data has {len(names)} labels ({', '.join(names[:NAMED])}{more}), and "
                f"model.head.n_classes is {self.n_classes}; set model.head.n_classes={len(names)}"
            )

    def check_coders(self, folder: Path) -> None:
        check_tokenizer(folder, "tokenizer", self.coders["tokenizer"], self.tokenizer_spec, self.vocab_size)
        if self.has_labels and len(self.labels) != self.n_classes:
            raise RunError(
                f"{folder / 'labels.json'}: holds {len(self.labels)} labels; model.head.n_classes is {self.n_classes}"
            )

    # From rows to batches

    def unknown(self, label: str) -> str:
        """What is wrong with a label that the training data does not have."""
        known = ", ".join(self.labels.names[:NAMED]) + (", ..." if len(self.labels) > NAMED else "")
        return f"{label!r} is no label of the training data ({known})"

    def lengths(self, store: ExampleStore) -> NDArray[np.integer]:
        return store.columns["inputs"].lengths()[:, None]

    def length(self, example: Example) -> int:
        return len(example["inputs"])

    # Learning and predicting

    def hidden(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """The model's vectors [B, T, D] and which are of real tokens, bool [B, T] | None."""
        further = {} if batch.tensors.get("types") is None else {"types": batch["types"]}
        found: tuple[Tensor, Tensor | None] = cast(Any, model).hidden(
            batch["inputs"], **{self.mask_name: batch.get("mask")}, **further
        )
        return found
