"""Parquet files."""

from __future__ import annotations

import glob
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from zoo.data.bad_lines import BadLines
from zoo.data.corpora._tables import BATCH, TableReader, TableSpec
from zoo.data.images import Colours
from zoo.data.lines import hash_files
from zoo.errors import DataError, one_line
from zoo.kinds import CORPUS, Row

Files = str | Annotated[tuple[str, ...], Field(min_length=1)]


class ParquetSpec(TableSpec):
    type: Literal["parquet"] = "parquet"
    train: Files
    """File to train on, or a list of several, read in their order; a name with `*`, `?` or `[...]` means all files that
    match, in the order of their names: `data/train-*.parquet`."""
    dev: Files
    """Files to validate on."""
    test: Files | None = None
    """Files to test on; null for none."""


@CORPUS.register(
    "parquet",
    spec=ParquetSpec,
    examples=[
        {"train": "train-*.parquet", "dev": "dev.parquet"},
        {
            "train": ["a.parquet", "b.parquet"],
            "dev": "dev.parquet",
            "columns": {"source": "translation.en", "target": "translation.de"},
        },
        {"train": "train.parquet", "dev": "dev.parquet", "columns": {"image": "png"}, "image_size": 7},
    ],
)
class Parquet:
    """Tables in Parquet files: the columns that are asked for, a thousand rows at a time.

    A text must have something in it; `tokens` and `tags` are lists; `image` is the bytes of an image file, or Hugging
    Face's column of images, and needs Pillow. Names of classes that Hugging Face writes into a file become the labels.
    Needs pyarrow: the extra `parquet`.
    """

    def __init__(
        self,
        *,
        train: str | Sequence[str],
        dev: str | Sequence[str],
        test: str | Sequence[str] | None,
        columns: Mapping[str, str],
        image_size: int | tuple[int, int] | None,
        colours: Colours,
    ) -> None:
        named = {"train": train, "dev": dev, "test": test}
        self._given = {
            split: (given,) if isinstance(given, str) else tuple(given)
            for split, given in named.items()
            if given is not None
        }
        self._reader = TableReader(columns, image_size, colours)

    def splits(self) -> list[str]:
        """The splits that the spec names."""
        return list(self._given)

    def where(self, split: str) -> str:
        """The files as the spec names them, for messages."""
        return ", ".join(self._given[split])

    def rows(self, split: str, *, bad_lines: BadLines) -> Iterator[Row]:
        """The rows of a split, file by file; bad_lines is told the file and the row.

        Raises: DataError for a file that is not there, no Parquet, damaged or without rows, or has not the columns;
            and where pyarrow is not installed.
        """
        for path in self._files(split):
            yield from self._rows(path, bad_lines)

    def fingerprint(self, split: str) -> str:
        """SHA-256 of the files' bytes and of what decides how they are read."""
        return hash_files(self._files(split), self._reader.settings)

    def _files(self, split: str) -> list[Path]:
        found = [path for given in self._given[split] for path in _matching(given)]
        if twice := next((path for path in found if found.count(path) > 1), None):
            raise DataError(f"{twice}: named twice in task.data.{split}")
        return found

    def _rows(self, path: Path, bad_lines: BadLines) -> Iterator[Row]:
        arrow, parquet = _pyarrow()
        n_rows = 0

        def batches(file: Any, names: list[str]) -> Iterator[Any]:
            nonlocal n_rows
            for batch in file.iter_batches(batch_size=BATCH, columns=names, use_threads=False):
                yield batch
                n_rows += len(batch)

        try:
            with parquet.ParquetFile(path) as file:
                schema = file.schema_arrow
                paths = self._reader.paths(schema, str(path))
                names = list({".".join(way): None for way in paths.values()})
                yield from self._reader.rows(
                    batches(file, names), paths, _features(schema), str(path), bad_lines
                )
        except (OSError, arrow.ArrowException) as error:
            what = getattr(error, "strerror", None)
            read = f", behind row {n_rows}" if n_rows else ""
            why = (
                f"cannot be read: {what}" if what else f"no Parquet file, or damaged{read}: {one_line(error)}"
            )
            raise DataError(f"{path}: {why}") from None


def _matching(given: str) -> list[Path]:
    """The file of that name, or those that match it."""
    path = Path(given).expanduser()
    if path.exists() or not glob.has_magic(given):
        return [path]
    if not (found := sorted(map(Path, glob.glob(str(path), recursive=True)))):
        raise DataError(f"{given}: no file matches")
    return found


def _features(schema: Any) -> Mapping[str, Any]:
    """What Hugging Face writes of a file's columns, where it has written the file."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, TypeError, ValueError):
        return {}
    return features if isinstance(features, dict) else {}


def _pyarrow() -> tuple[Any, Any]:
    """pyarrow and its module of Parquet."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        message = "parquet needs a package that is not installed: pip install 'architecture-zoo[parquet]'"
        raise DataError(message) from None
    return pyarrow, pyarrow.parquet
