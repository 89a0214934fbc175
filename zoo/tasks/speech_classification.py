"""Classes of recordings: what is heard in, one of a few labels out; accuracy on the validation set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, cast

import numpy as np
import torch
from pydantic import Field
from torch import nn

from registry import Spec
from zoo.data.cache import Rejected
from zoo.data.coder import Coder
from zoo.data.labels import Labels
from zoo.data.store import Example
from zoo.errors import DataError, RunError
from zoo.kinds import METRIC, TASK, Row
from zoo.progress import Report, counted
from zoo.tasks._sound import HearingTask, Sound, SoundSpec, check_hearing
from zoo.tasks._transcripts import shown
from zoo.tasks.task import Batch, Loss, Refusal, Rows, TaskSpec, require, total


class SpeechClassificationSpec(TaskSpec):
    reads: ClassVar = ("waveform", "rate", "label")

    type: Literal["speech_classification"] = "speech_classification"
    sound: SoundSpec = SoundSpec()
    """How a recording becomes what the model hears."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Share of the target probability that is spread over the classes."""
    metric: Annotated[Spec, METRIC] = Field(cast(Any, "classification"))
    """How answers are scored, and which score chooses the best checkpoint."""

    def check(self, *, model: Spec) -> None:
        require(model, learns={"sequence"}, writes=False)
        check_hearing(model)
        n_classes: int = model.head.n_classes  # type: ignore[attr-defined]
        if n_classes < 2:
            raise ValueError(f"this task needs a head of two classes or more, not of {n_classes}")


@dataclass(frozen=True)
class Heard:
    """A class, and how probable each one is."""

    label: str
    number: int
    probabilities: Mapping[str, float]


@TASK.register(
    "speech_classification",
    spec=SpeechClassificationSpec,
    examples=[{"data": {"type": "tones", "n_train": 23, "n_dev": 5, "n_test": 7}}],
)
class SpeechClassification(HearingTask):
    """Learns which class a recording is of.

    Batches: sound and its mask, as the model's input takes them, label int64 [B].
    """

    answered: ClassVar = "label"
    size_keys: ClassVar = ("training.tokens_per_batch", "task.sound.max_seconds")
    coder_names: ClassVar = ("labels",)

    def __init__(self, *, sound: SoundSpec, label_smoothing: float, metric: Spec, **inherited: Any) -> None:
        super().__init__(**inherited)
        self.sound = Sound(sound, self.model)
        self.label_smoothing = label_smoothing
        self.metric_spec = metric
        self.n_classes: int = self.model.head.n_classes  # type: ignore[attr-defined]

    @property
    def labels(self) -> Labels:
        """The classes' names."""
        return cast(Labels, self.coders["labels"])

    def learn(self, rows: Rows, *, n_rows: int, report: Report | None) -> dict[str, Coder]:
        found: set[str] = set()
        for row in counted(rows(), report, "reading labels", n_rows):
            self.sound.require(row)
            found.add(row["label"])
        if len(found) != self.n_classes:
            raise DataError(
                f"the training data has {len(found)} labels ({', '.join(sorted(found)[:5])}, ...), the model "
                f"{self.n_classes} classes: set model.head.n_classes={len(found)}"
            )
        return {"labels": Labels.of(found)}

    def check_coders(self, folder: Path) -> None:
        if len(self.labels) != self.n_classes:
            raise RunError(
                f"{folder / 'labels.json'}: holds {len(self.labels)} labels; the model has {self.n_classes} classes"
            )

    @property
    def recipe(self) -> str:
        return f"speech_classification {self.labels.sha256} {self.sound.recipe}"

    def encode(self, rows: Sequence[Row], *, is_scored: bool) -> Sequence[Example | Rejected]:
        return [self._example(row) for row in rows]

    def _example(self, row: Row) -> Example | Rejected:
        self.sound.require(row)
        heard = self.sound.example(row)
        if isinstance(heard, Rejected):
            return heard
        if self.labels.number(row["label"]) is None:
            return Rejected("unknown label", f"{row['label']!r} is not among those of the training data")
        return {"sound": heard, **self.compared(row)}

    def compared(self, row: Row) -> Example:
        number = self.labels.number(row["label"])
        return {"label": np.array([-2 if number is None else number], np.int32)}

    def collate(self, examples: Sequence[Example]) -> Batch:
        sound, mask, n_real = self.sound.tensors(examples)
        tensors = {"sound": sound, "mask": mask}
        if "label" in examples[0]:
            tensors["label"] = torch.tensor([int(example["label"][0]) for example in examples])
        size = f"{len(examples)} × {max(self.length(example) for example in examples)} frames"
        return Batch(tensors, size=size, n_processed=n_real)

    def loss(self, model: nn.Module, batch: Batch, *, is_training: bool) -> Loss:
        """Cross-entropy of the classes."""
        classifier = cast(Any, model)
        hidden, mask = classifier.hidden(batch["sound"], mask=batch.get("mask"))  # [B, T, D]
        smoothing = self.label_smoothing if is_training else 0.0
        return total(
            classifier.head.loss(hidden, batch["label"], mask=mask, label_smoothing=smoothing), model, batch
        )

    def predict(self, model: nn.Module, batch: Batch, *, decoding: Spec | None) -> list[Heard]:
        """The most probable class of each recording."""
        probabilities = model(batch["sound"], mask=batch.get("mask")).softmax(-1, dtype=torch.float32)
        names = self.labels.names
        return [
            Heard(names[number], number, dict(zip(names, row, strict=True)))
            for number, row in zip(probabilities.argmax(-1).tolist(), probabilities.tolist(), strict=True)
        ]

    def written(self, answer: Any) -> dict[str, Any]:
        return {"label": answer.label, "probabilities": dict(answer.probabilities)}

    def sample(self, row: Row, answer: Any) -> dict[str, Any]:
        found = "" if isinstance(answer, Refusal) else answer.label
        return {"recording": shown(row), "answer": found, "label": row["label"]}

    def shown(self, row: Row) -> str:
        return shown(row, row["label"])
