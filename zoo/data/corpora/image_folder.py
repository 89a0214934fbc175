"""Images in folders, one folder a class."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

from zoo.data.bad_lines import BadLines
from zoo.data.images import SUFFIXES, Colours, Fit, Resample, Side, fitted, size_of
from zoo.data.lines import hash_files
from zoo.errors import DataError
from zoo.kinds import CORPUS, CorpusSpec, Row


class ImageFolderSpec(CorpusSpec):
    fields: ClassVar = ("image", "label")

    type: Literal["image_folder"] = "image_folder"
    folder: str
    """Where the splits' folders are, such as `train/cat/1.png`: the name of an image's folder is its class."""
    image_size: Side | tuple[Side, Side] = 224
    """Height and width that images are brought to."""
    fit: Fit = "cut"
    """How: scaled until they fill it, and cut at the longer side's ends; or each side scaled by itself."""
    resample: Resample = "bicubic"
    """How new pixels are made of old ones, by Pillow's names."""
    colours: Colours = "colour"
    """Three numbers a pixel, or one; images are converted."""
    train: str = "train"
    """Folder to learn from."""
    dev: str = "val"
    """Folder to validate on."""
    test: str | None = None
    """Folder to test on; null for none."""


@CORPUS.register(
    "image_folder",
    spec=ImageFolderSpec,
    examples=[
        {"folder": "pets", "image_size": 32},
        {"folder": "pets", "fit": "stretch", "resample": "bilinear"},
    ],
)
class ImageFolder:
    """Image files, in the order of their paths; files that are named like no image are passed over.

    Images become uint8 [H, W, 3], or [H, W] where they are grey. Needs Pillow: the extra `images`.
    """

    def __init__(
        self,
        *,
        folder: str,
        image_size: int | tuple[int, int],
        fit: Fit,
        resample: Resample,
        colours: Colours,
        train: str,
        dev: str,
        test: str | None,
    ) -> None:
        self._folder = Path(folder).expanduser()
        self._size = size_of(image_size)
        self._fit: Fit = fit
        self._resample: Resample = resample
        self._colours = colours
        self._names = {"train": train, "dev": dev} | ({} if test is None else {"test": test})

    def splits(self) -> list[str]:
        """Train, dev, and test where there is one."""
        return list(self._names)

    def where(self, split: str) -> str:
        """The folder, for messages."""
        return str(self._folder / self._names[split])

    def rows(self, split: str, *, bad_lines: BadLines) -> Iterator[Row]:
        """image and label of each file; one that cannot be read as an image is bad.

        Raises: DataError for a folder that is not there or holds no image, and where Pillow is not installed.
        """
        for path in self._files(split):
            image = fitted(path, self._size, self._colours, fit=self._fit, resample=self._resample)
            if isinstance(image, str):
                bad_lines.report(str(path), "no image", image)
            else:
                yield {"image": image, "label": path.parent.name}

    def fingerprint(self, split: str) -> str:
        """SHA-256 of the files' names and bytes, and of what they are brought to."""
        files = self._files(split)
        names = [path.relative_to(self._folder).as_posix() for path in files]
        return hash_files(files, names, self._size, self._colours, self._fit, self._resample)

    def _files(self, split: str) -> list[Path]:
        folder = Path(self.where(split))
        try:
            classes = sorted(path for path in folder.iterdir() if path.is_dir())
            files = [path for each in classes for path in sorted(each.iterdir()) if _is_image(path)]
        except OSError as error:
            raise DataError(f"{error.filename}: cannot be read: {error.strerror}") from None
        if not files:
            raise DataError(f"{folder}: no image in it; they must lie in folders named as their classes")
        return files


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
