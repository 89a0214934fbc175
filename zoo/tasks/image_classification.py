"""Image classification: an image in, its class out; cross-entropy, accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.amounts import amount
from zoo.data.cache import Rejected
from zoo.data.coder import Coder
from zoo.data.images import SUFFIXES, Colours, fitted
from zoo.data.labels import Labels
from zoo.data.scaling import Scaling
from zoo.data.store import Example, ExampleStore
from zoo.errors import DataError, RunError
from zoo.kinds import METRIC, TASK, Row
from zoo.progress import Report, counted
from zoo.tasks.task import Batch, Loss, Refusal, Rows, Task, TaskSpec, require, total

WHITE = 255.0
"""What a full byte of a pixel is divided by."""


class NormalisationSpec(Spec):
    mean: tuple[float, ...] = Field(min_length=1)
    """What is subtracted from each channel, of a brightness between 0 and 1."""
    deviation: tuple[Annotated[float, Field(gt=0)], ...] = Field(min_length=1)
    """What each channel is divided by after that."""

    def check(self) -> None:
        if len(self.mean) != len(self.deviation):
            raise ValueError(f"{len(self.mean)} means, but {len(self.deviation)} deviations")


class ImageClassificationSpec(TaskSpec):
    reads: ClassVar = ("image", "label")

    type: Literal["image_classification"] = "image_classification"
    normalisation: NormalisationSpec | None = None
    """Mean and deviation by which each channel is standardised; null: those of the training images."""
    crop_padding: int = Field(0, ge=0, le=1024)
    """In training, black pixels put around an image, of which its own size is then cut out anywhere; 0: it stays."""
    flip: bool = False
    """Whether in training every second image, drawn by lot, is mirrored left to right."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Share of the target probability that is spread over the classes, in training."""
    metric: Annotated[Spec, METRIC] = Field(cast(Any, "classification"))
    """How answers are scored, and which score chooses the best checkpoint."""

    def check(self, *, model: Spec) -> None:
        require(model, learns={"sequence"}, reads_tokens=False, writes=False)
        inputs, n_classes = _inputs(model), cast(Any, model).head.n_classes
        if not hasattr(inputs, "n_channels") or not hasattr(inputs, "sides"):
            raise ValueError(
                f"this task needs a model that reads images, such as image_patches; this one reads {inputs.type}"
            )
        if n_classes < 2:
            raise ValueError("this task needs two classes or more: model.head.n_classes is 1, a regression")
        if self.normalisation is not None and len(self.normalisation.mean) != inputs.n_channels:
            raise ValueError(
                f"normalisation is of {len(self.normalisation.mean)} channels; the model's images have "
                f"{inputs.n_channels}"
            )


@dataclass(frozen=True)
class Class:
    """The answer for an image."""

    label: str
    number: int
    probabilities: Mapping[str, float]
    """Of every class by its name."""


@TASK.register(
    "image_classification",
    spec=ImageClassificationSpec,
    examples=[{"data": {"type": "shapes", "n_train": 23, "n_dev": 7, "n_test": 5}}],
)
class ImageClassification(Task):
    """Learns the class of each image.

    Rows have `image`, uint8 [H, W, C] or [H, W] of the height, width and channels that the model reads, and `label`, a
    text.
    Source: Dosovitskiy et al. 2021, section 3.1; crop and flip: He et al. 2016, section 4.2.
    Shapes: of a batch, image fp32 [B, C, H, W], standardised, labels int64 [B].
    """

    is_likely: ClassVar = True
    varies: ClassVar = True
    size_keys: ClassVar = ("training.rows_per_batch", "training.tokens_per_batch")
    coder_names: ClassVar = ("labels", "scaling")
    file_suffixes: ClassVar = SUFFIXES
    file_fields: ClassVar = ("image", "file")

    def __init__(
        self,
        *,
        normalisation: NormalisationSpec | None,
        crop_padding: int,
        flip: bool,
        label_smoothing: float,
        metric: Spec,
        **inherited: Any,
    ) -> None:
        super().__init__(**inherited)
        inputs = _inputs(self.model)
        self.shape: tuple[int, int, int] = (*inputs.sides, inputs.n_channels)
        self.n_tokens: int = getattr(inputs, "length", 1)
        self.n_classes: int = cast(Any, self.model).head.n_classes
        self.normalisation = normalisation
        self.crop_padding = crop_padding
        self.flip = flip
        self.label_smoothing = label_smoothing
        self.metric_spec = metric

    # What is learnt from the data before training

    @property
    def labels(self) -> Labels:
        """The names of the classes."""
        return cast(Labels, self.coders["labels"])

    @property
    def scaling(self) -> Scaling:
        """Mean and deviation of each channel, of a brightness between 0 and 1."""
        return cast(Scaling, self.coders["scaling"])

    def learn(self, rows: Rows, *, n_rows: int, report: Report | None) -> dict[str, Coder]:
        """The classes that occur, and the channels' scaling. Raises: DataError where the head has not as many."""
        names: set[str] = set()
        sums, squares, n = np.zeros(self.shape[2], np.int64), np.zeros(self.shape[2], np.int64), 0
        for row in counted(rows(), report, "reading images", n_rows):
            names.add(row["label"])
            image = _with_channels(row["image"])
            if image.shape == self.shape:  # others give no example
                pixels = image.reshape(-1, self.shape[2]).astype(np.int64)
                sums, squares, n = sums + pixels.sum(0), squares + (pixels**2).sum(0), n + len(pixels)
        if len(names) != self.n_classes:
            raise DataError(
                f"the training data has {amount(len(names), 'label')}, and the model's head is for "
                f"{self.n_classes}; set model.head.n_classes={len(names)}"
            )
        return {"labels": Labels.of(names), "scaling": self._given() or _scaling(sums, squares, max(n, 1))}

    def _given(self) -> Scaling | None:
        given = self.normalisation
        return None if given is None else Scaling(np.array(given.mean), np.array(given.deviation))

    def check_coders(self, folder: Path) -> None:
        given = self._given()
        if given is not None and given.sha256 != self.scaling.sha256:
            raise RunError(f"{folder / 'scaling.json'}: holds another normalisation than the spec")

    # From rows to batches

    @property
    def recipe(self) -> str:
        return f"image_classification {self.shape} {self.labels.sha256}"

    @property
    def is_strict(self) -> bool:
        return self.bad_lines == "error"

    def encode(self, rows: Sequence[Row], *, is_scored: bool) -> Sequence[Example | Rejected]:
        return [self._example(row) for row in rows]

    def _example(self, row: Row) -> Example | Rejected:
        if why := self._unusable(row["image"]):
            return Rejected("other shape", why)
        if self.labels.number(row["label"]) is None:
            return Rejected("unknown class", f"class '{row['label']}' does not occur in the training data")
        return {"image": _with_channels(row["image"]), **self.compared(row)}

    def _unusable(self, image: NDArray[np.uint8]) -> str:
        """Why an image cannot be read; "" if it can."""
        if _with_channels(image).shape == self.shape:
            return ""
        found, wanted = (" × ".join(map(str, shape)) for shape in (_with_channels(image).shape, self.shape))
        return f"an image of {found} numbers, but the model reads {wanted} (height, width, channels)"

    def read(self, rows: Sequence[Row], model: nn.Module) -> Sequence[Example | Refusal]:
        found: list[Example | Refusal] = []
        for row in rows:
            why = self._unusable(row["image"])
            further = self.compared(row) if "label" in row else {}
            found.append(Refusal(why) if why else {"image": _with_channels(row["image"]), **further})
        return found

    def row_of_file(self, path: Path) -> Row:
        """The image, brought to the size that the model reads as the run's corpus brings it, or image_folder."""
        colours: dict[int, Colours] = {1: "grey", 3: "colour"}
        if self.shape[2] not in colours:
            raise ValueError(f"an image file has 1 or 3 channels, but the model reads {self.shape[2]}")
        way = {name: getattr(self.data, name) for name in ("fit", "resample") if hasattr(self.data, name)}
        found = fitted(path, self.shape[:2], colours[self.shape[2]], **way)
        if isinstance(found, str):
            raise ValueError(found)
        return {"image": found}

    def row_of_numbers(self, row: Row) -> Row:
        image = np.asarray(row["image"])
        is_whole = np.issubdtype(image.dtype, np.integer) and bool(((image >= 0) & (image <= 255)).all())
        if not is_whole or image.ndim not in (2, 3):
            raise ValueError(
                "an image is whole numbers from 0 to 255, [height, width] or [height, width, channels]"
            )
        return {**row, "image": image.astype(np.uint8)}

    def compared(self, row: Row) -> Example:
        number = self.labels.number(row["label"])
        return {"label": np.array([-2 if number is None else number], np.int32)}  # -2: never right

    def lengths(self, store: ExampleStore) -> NDArray[np.integer]:
        return np.full((len(store), 1), self.n_tokens)

    def length(self, example: Example) -> int:
        return self.n_tokens

    def vary(self, example: Example, random: np.random.Generator, *, is_training: bool) -> Example:
        if not is_training or not (self.crop_padding or self.flip):
            return example
        image = torch.from_numpy(np.array(example["image"]))  # [H, W, C], a copy that may be written to
        if pad := self.crop_padding:
            (H, W), (top, left) = image.shape[:2], random.integers(0, 2 * pad + 1, 2).tolist()
            image = F.pad(image, (0, 0, pad, pad, pad, pad))[top : top + H, left : left + W]
        if self.flip and random.integers(2):
            image = image.flip(1)
        return {**example, "image": image.numpy()}

    def collate(self, examples: Sequence[Example]) -> Batch:
        images = self.scaling.scaled(np.stack([example["image"] for example in examples]) / WHITE)
        B, H, W, C = images.shape
        tensors = {"image": torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()}  # [B, C, H, W]
        if "label" in examples[0]:
            tensors["labels"] = torch.tensor([int(example["label"][0]) for example in examples])
        return Batch(tensors, size=f"{B} images of {H} × {W} × {C}", n_processed=B * self.n_tokens)

    # Learning and predicting

    def loss(self, model: nn.Module, batch: Batch, *, is_training: bool) -> Loss:
        """Cross-entropy of the classes."""
        classifier = cast(Any, model)
        hidden, mask = classifier.hidden(batch["image"])
        smoothing = self.label_smoothing if is_training else 0.0
        sums = classifier.head.loss(hidden, batch["labels"], mask=mask, label_smoothing=smoothing)
        return total(sums, model, batch)

    def hidden(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor | None]:
        found: tuple[Tensor, Tensor | None] = cast(Any, model).hidden(batch["image"])
        return found

    def predict(self, model: nn.Module, batch: Batch, *, decoding: Spec | None) -> list[Class]:
        names = self.labels.names
        found = []
        for row in model(batch["image"]).float().softmax(1).tolist():
            number = max(range(len(names)), key=row.__getitem__)
            found.append(Class(names[number], number, dict(zip(names, row, strict=True))))
        return found

    def written(self, answer: Any) -> dict[str, Any]:
        probabilities = {name: round(value, 6) for name, value in answer.probabilities.items()}
        return {"label": answer.label, "probabilities": probabilities}

    def sample(self, row: Row, answer: Any) -> dict[str, Any]:
        found = {} if isinstance(answer, Refusal) else {
            "label": answer.label, "probability": round(answer.probabilities[answer.label], 4)}  # fmt: skip
        return {"image": self.shown(row), **found}

    def shown(self, row: Row) -> str:
        H, W, C = _with_channels(row["image"]).shape
        return f"{H} × {W} × {C} pixels → {row['label']}"


def _inputs(model: Any) -> Any:
    return next(iter(model.slots.values()))


def _with_channels(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return image[..., None] if image.ndim == 2 else image


def _scaling(sums: NDArray[np.int64], squares: NDArray[np.int64], n: int) -> Scaling:
    """By the exact sums of n pixels' bytes and of their squares, of each channel."""
    # Python's integers: n · squares of many large images is more than 64 bits hold.
    pairs = [(int(s), int(q)) for s, q in zip(sums, squares, strict=True)]
    variances = [(n * q - s * s) / n**2 / WHITE**2 for s, q in pairs]
    return Scaling(np.array([s / n / WHITE for s, _ in pairs]), np.sqrt(variances))
