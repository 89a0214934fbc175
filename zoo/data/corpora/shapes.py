"""Generated images, needing no file: small grey pictures of drawn shapes, to be told apart."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from zoo.data.bad_lines import BadLines
from zoo.kinds import CORPUS, CorpusSpec, Row

SHAPES = ("circle", "cross", "square", "stripes")
STREAMS = {"train": 0, "dev": 1, "test": 2}


class ShapesSpec(CorpusSpec):
    fields: ClassVar = ("image", "label")

    type: Literal["shapes"] = "shapes"
    image_size: int = Field(12, ge=8, le=1024)
    """Height and width of an image, in pixels."""
    n_train: int = Field(2_000, ge=1, le=1_000_000)
    """Images to learn from."""
    n_dev: int = Field(200, ge=1, le=100_000)
    """Images to validate on."""
    n_test: int = Field(400, ge=1, le=100_000)
    """Images to test on."""
    noise: float = Field(0.15, ge=0, le=1)
    """Deviation of the noise, of a brightness between 0 and 1."""
    seed: int = Field(1, ge=0, le=2**32 - 1)
    """Another seed, other images."""


@CORPUS.register("shapes", spec=ShapesSpec, examples=[{"n_train": 23, "n_dev": 7, "n_test": 5}])
class Shapes:
    """Grey images, uint8 [H, W], of a circle, a cross, a square's outline or stripes.

    Each lies anywhere, and has any size and brightness. All classes have the same number of images, give or take one.
    """

    def __init__(
        self, *, image_size: int, n_train: int, n_dev: int, n_test: int, noise: float, seed: int
    ) -> None:
        self._side = image_size
        self._sizes = {"train": n_train, "dev": n_dev, "test": n_test}
        self._noise = noise
        self._seed = seed

    def splits(self) -> list[str]:
        """Train, dev and test."""
        return list(self._sizes)

    def where(self, split: str) -> str:
        """A name for messages."""
        return f"shapes, {split}"

    def rows(self, split: str, *, bad_lines: BadLines) -> Iterator[Row]:
        """The images of a split with their shapes; none of them is bad."""
        for number in range(self._sizes[split]):
            label = SHAPES[(number + number // len(SHAPES)) % len(SHAPES)]
            yield {"image": self._image(label, STREAMS[split] << 32 | number), "label": label}

    def fingerprint(self, split: str) -> str:
        """SHA-256 of the split's images."""
        digest = hashlib.sha256()
        for row in self.rows(split, bad_lines=BadLines("error")):
            digest.update(row["image"].tobytes() + row["label"].encode())
        return digest.hexdigest()

    def _image(self, label: str, number: int) -> NDArray[np.uint8]:
        draw = np.random.Generator(np.random.Philox(key=np.array([self._seed, number], np.uint64)))
        radius = draw.uniform(0.2, 0.4) * self._side
        y, x = draw.uniform(radius, self._side - radius, 2)
        rows, columns = np.mgrid[: self._side, : self._side] + 0.5
        down, right = np.abs(rows - y), np.abs(columns - x)
        inside = np.maximum(down, right) <= radius
        drawn = {
            "circle": down**2 + right**2 <= radius**2,
            "cross": inside & (np.minimum(down, right) <= 1),
            "square": inside & (np.maximum(down, right) > radius - 1.5),
            "stripes": inside & (rows.astype(int) % 2 == 0),
        }[label]
        image = drawn * draw.uniform(0.5, 1.0) + draw.normal(0, self._noise, drawn.shape)
        return np.round(255 * image.clip(0, 1)).astype(np.uint8)
