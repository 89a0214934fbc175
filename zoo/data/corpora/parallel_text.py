"""Parallel text as it is usually laid out: one folder, `stem.language` or `stem.language.gz`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field

from registry import suggest
from zoo.data.corpora.text import PairedFiles, PairsSpec
from zoo.errors import DataError
from zoo.kinds import CORPUS


class ParallelTextSpec(PairsSpec):
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
    dev_references: tuple[str, ...] = ()
    """Further reference files to validate with, such as `dev.en2`: names in the folder, or with `.gz`. Line i
    translates line i again; a line may be empty there."""
    test_references: tuple[str, ...] = ()
    """Further reference files to test with."""

    def check(self) -> None:
        if self.test is None and self.test_references:
            raise ValueError("test_references are given, but no test")
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
        dev_references: tuple[str, ...],
        test_references: tuple[str, ...],
        max_characters: int,
    ) -> None:
        home = Path(folder).expanduser()
        stems = {"train": train, "dev": dev, "test": test}
        further = {"train": (), "dev": dev_references, "test": test_references}
        paths = {
            split: (
                _find(home, f"{stem}.{source_language}", split, stems),
                _find(home, f"{stem}.{target_language}", split, stems),
                *(_find(home, name, split, stems) for name in further[split]),
            )
            for split, stem in stems.items()
            if stem is not None
        }
        super().__init__(paths, max_characters)


def _find(folder: Path, name: str, split: str, stems: Mapping[str, str | None]) -> Path:
    """A split's file of that name, plain or gzipped."""
    plain, zipped = folder / name, folder / f"{name}.gz"
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
        ends = (plain.suffix, f"{plain.suffix}.gz")
        files = (path.name for path in folder.iterdir() if path.is_file())
        names = [name for name in files if name.endswith(ends) and not name.startswith(others)]
        nearby = f"; {suggest(plain.name, names[:1000])}" if names else ""
        raise DataError(f"{plain}: no such file, nor with .gz; say task.data.{split}=STEM{nearby}")
    return plain
