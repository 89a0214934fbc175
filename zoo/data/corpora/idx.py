"""Images and labels in IDX, the format of MNIST and its successors."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from zoo.amounts import amount
from zoo.data.bad_lines import BadLines
from zoo.data.lines import DAMAGE, hash_files, open_unpacked
from zoo.errors import DataError
from zoo.kinds import CORPUS, CorpusSpec, Row

UNSIGNED_BYTE = 0x08
"""The code of the only type of values that these data sets use."""


class IdxSpec(CorpusSpec):
    fields: ClassVar = ("image", "label")

    type: Literal["idx"] = "idx"
    folder: str
    """Where the files are: `train-images-idx3-ubyte` and `train-labels-idx1-ubyte`, or `train-images.idx3-ubyte` and
    the like, plain or with `.gz`."""
    train: str = "train"
    """What the names of the files to learn from begin with."""
    dev: str | None = None
    """What those of the files to validate on begin with; null: the last n_dev training images are validated on, and
    not learnt from."""
    n_dev: int = Field(5_000, ge=1, le=10**8)
    """Images to validate on where there are no files of them."""
    test: str | None = "t10k"
    """What the names of the files to test on begin with; null for none."""


@CORPUS.register("idx", spec=IdxSpec, examples=[{"folder": "mnist"}, {"folder": "mnist", "dev": "val"}])
class Idx:
    """Images of one size, uint8 [H, W] or [H, W, C], and the class of each, a number as a text.

    Source: LeCun et al. 1998, the format of MNIST: a header of big-endian integers, then bytes.
    """

    def __init__(self, *, folder: str, train: str, dev: str | None, n_dev: int, test: str | None) -> None:
        self._folder = Path(folder).expanduser()
        self._stems = {"train": train, "dev": dev or train} | ({} if test is None else {"test": test})
        self._n_dev = 0 if dev is not None else n_dev

    def splits(self) -> list[str]:
        """Train, dev, and test where there is one."""
        return list(self._stems)

    def where(self, split: str) -> str:
        """The file of images, for messages."""
        return str(self._paths(split)[0])

    def rows(self, split: str, *, bad_lines: BadLines) -> Iterator[Row]:
        """image and label of each, in the order of the files; none is bad by itself.

        Raises: DataError for a file that is not there, no IDX, cut off, or longer than it says, and for another number
            of images than of labels.
        """
        images, labels = self._paths(split)
        with ExitStack() as files:
            image_file, label_file = (files.enter_context(open_unpacked(path)) for path in (images, labels))
            n, *shape = _header(images, image_file, (3, 4))
            (n_labels,) = _header(labels, label_file, (1,))
            if n != n_labels:
                raise DataError(
                    f"{images}: {amount(n, 'image')}, but {labels.name} has {amount(n_labels, 'label')}"
                )
            wanted = self._range(split, n)
            for number in range(n):
                image = _read(images, image_file, int(np.prod(shape)), f"image {number + 1} of {n:,}")
                label = _read(labels, label_file, 1, f"label {number + 1} of {n:,}")
                if number in wanted:
                    yield {
                        "image": np.frombuffer(image, np.uint8).reshape(shape),
                        "label": str(label[0]),
                    }
            for path, file in ((images, image_file), (labels, label_file)):
                if _bytes(path, file, 1, "the end"):
                    raise DataError(f"{path}: longer than its header says ({n:,} items)")

    def fingerprint(self, split: str) -> str:
        """SHA-256 of the files' bytes, and of which part of them it is."""
        return hash_files(self._paths(split), split, self._n_dev)

    def _range(self, split: str, n: int) -> range:
        """Which images of the files belong to a split."""
        if not self._n_dev or split == "test":
            return range(n)
        if self._n_dev >= n:
            raise DataError(f"{self.where(split)}: {n:,} images, too few for n_dev {self._n_dev:,}")
        return range(n - self._n_dev) if split == "train" else range(n - self._n_dev, n)

    def _paths(self, split: str) -> tuple[Path, Path]:
        stem = self._stems[split]
        return self._found(f"{stem}-images-idx3-ubyte"), self._found(f"{stem}-labels-idx1-ubyte")

    def _found(self, name: str) -> Path:
        names = (name, f"{name}.gz", name.replace("-idx", ".idx"), f"{name.replace('-idx', '.idx')}.gz")
        found = (path for each in names if (path := self._folder / each).exists())
        return next(found, self._folder / name)


def _header(path: Path, file: io.BufferedReader, n_dimensions: tuple[int, ...]) -> list[int]:
    """The sizes that a file says, items first."""
    zero, kind, n = struct.unpack(">HBB", _read(path, file, 4, "the header"))
    if zero or kind != UNSIGNED_BYTE or n not in n_dimensions:
        wanted = " or ".join(map(str, n_dimensions))
        noun = "dimension" if wanted == "1" else "dimensions"
        raise DataError(f"{path}: no IDX file of unsigned bytes in {wanted} {noun}: it begins otherwise")
    return list(struct.unpack(f">{n}I", _read(path, file, 4 * n, "the header")))


def _read(path: Path, file: io.BufferedReader, size: int, what: str) -> bytes:
    found = _bytes(path, file, size, what)
    if len(found) < size:
        raise DataError(f"{path}: {what}: the file ends here")
    return found


def _bytes(path: Path, file: io.BufferedReader, size: int, what: str) -> bytes:
    try:
        return file.read(size)
    except DAMAGE as error:
        raise DataError(f"{path}: {what}: the compressed data is damaged or cut off here ({error})") from None
