"""Parallel text as it is usually laid out: one folder, `stem.language` or `stem.language.gz`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field

from registry import suggest
from zoo.data.corpora.text import PairedFiles, TextFilesSpec
from zoo.errors import DataError
from zoo.kinds import CORPUS


class ParallelTextSpec(TextFilesSpec):
    type: Literal["parallel_text"] = "parallel_text"
    folder: str
    """Where the files are."""
    source_language: str = Field(min_length=1)
    """Ending of the files translated from, such as `de`."""
    target_language: str = Field(min_length=1)
    """Ending of the files translated to, such as `en`."""
    train: str = "train"
    """Stem of the files to train on: `train` for `train.de` and `train.en`, or the same with `.gz`."""
    dev: str = "dev"
    """Stem of the files to validate on."""
    test: str | None = "test"
    """Stem of the files to test on; null for none."""

    def check(self) -> None:
        if self.source_language == self.target_language:
            raise ValueError(f"source_language and target_language are both {self.source_language!r}")


@CORPUS.register(
    "parallel_text",
    spec=ParallelTextSpec,
    examples=[
        {"folder": "data", "source_language": "de", "target_language": "en", "dev": "val", "test": None}
    ],
)
class ParallelText(PairedFiles):
    """Two files for each split in one folder, named by split and language, plain or gzipped."""

    def __init__(
        self,
        *,
        folder: str,
        source_language: str,
        target_language: str,
        train: str,
        dev: str,
        test: str | None,
        max_characters: int,
    ) -> None:
        home = Path(folder).expanduser()
        stems = {"train": train, "dev": dev, "test": test}
        paths = {
            split: (_find(home, split, stems, source_language), _find(home, split, stems, target_language))
            for split, stem in stems.items()
            if stem is not None
        }
        super().__init__(paths, max_characters)


def _find(folder: Path, split: str, stems: Mapping[str, str | None], language: str) -> Path:
    """A split's file in one language, plain or gzipped."""
    stem = stems[split]
    plain = folder / f"{stem}.{language}"
    zipped = folder / f"{stem}.{language}.gz"
    if plain.exists() and zipped.exists():
        raise DataError(f"{plain}: there is {zipped.name} too; remove one, or name the files with file_pairs")
    if zipped.exists():
        return zipped
    if not plain.exists():
        if not folder.is_dir():
            what = "a file, where a folder is asked for" if folder.exists() else "no such folder"
            raise DataError(f"{folder}: {what} (looked for {plain.name} in it); say task.data.folder=FOLDER")
        # Never a file of another split: it would be read as this one.
        others = tuple(word for other in stems.items() if other[0] != split for word in other if word)
        ends = (f".{language}", f".{language}.gz")
        files = (path.name for path in folder.iterdir() if path.is_file())
        names = [name for name in files if name.endswith(ends) and not name.startswith(others)]
        raise DataError(
            f"{plain}: no such file, nor with .gz; say task.data.{split}=STEM; {suggest(plain.name, names[:1000])}"
        )
    return plain
