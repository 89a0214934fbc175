"""Datasets of Hugging Face: folders of theirs, folders of data files, and those online by name."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from zoo.data.bad_lines import BadLines
from zoo.data.corpora._tables import BATCH, TableReader, TableSpec
from zoo.data.images import Colours
from zoo.data.lines import hash_files
from zoo.errors import DataError, one_line
from zoo.kinds import CORPUS, Row

READABLE = ("arrow", "cache", "csv", "json", "parquet", "text")
"""The library's readers that make tables of texts and numbers, and of images with their bytes; none runs code."""

_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?", re.ASCII)
_UNREADABLE_FILE = re.compile(r"Failed to (?:read|load JSON from) file '(.*?)'")

log = logging.getLogger(__name__)

_Text = Annotated[str, Field(min_length=1)]


class DatasetsSpec(TableSpec):
    type: Literal["datasets"] = "datasets"
    path: _Text
    """A folder that `save_to_disk` wrote; a folder of data files (.csv, .tsv, .jsonl, .json, .parquet, .arrow, .txt)
    whose names say their splits; or else the name of a dataset online, such as `wmt/wmt14`, downloaded once."""
    config: _Text | None = None
    """Which configuration of the dataset, such as `de-en`; null: its only one, or its default."""
    revision: _Text | None = None
    """Which version of a dataset online: a commit, a tag or a branch; null: the newest."""
    train: _Text = "train"
    """The split to train on, or part of one: `train[:90%]`, `train[1000:]`; or a sum: `train+extra`."""
    dev: _Text = "validation"
    """The split to validate on, or part of one."""
    test: _Text | None = None
    """The split to test on, or part of one; null for none."""


@CORPUS.register(
    "datasets",
    spec=DatasetsSpec,
    examples=[
        {"path": "reviews", "columns": {"text": "text", "label": "label"}, "dev": "train[90%:]"},
        {
            "path": "wmt/wmt14",
            "config": "de-en",
            "revision": "main",
            "columns": {"source": "translation.en", "target": "translation.de"},
            "test": "test",
        },
    ],
)
class HuggingFaceDatasets:
    """A dataset of Hugging Face's library, a thousand rows at a time, from its files on the disk.

    Columns become fields as those of Parquet do; the names of classes are the labels. No code of a dataset is run:
    versions of the library that could are not taken, nor are formats other than tables.
    Needs datasets: the extra `datasets`.
    """

    def __init__(
        self,
        *,
        path: str,
        config: str | None,
        revision: str | None,
        train: str,
        dev: str,
        test: str | None,
        columns: Mapping[str, str],
        image_size: int | tuple[int, int] | None,
        colours: Colours,
    ) -> None:
        named = {"train": train, "dev": dev, "test": test}
        self._splits = {split: name for split, name in named.items() if name is not None}
        self._path = path
        self._config = config
        self._revision = revision
        self._reader = TableReader(columns, image_size, colours)
        self._opened: Mapping[str, Any] | None = None

    def splits(self) -> list[str]:
        """The splits that the spec names."""
        return list(self._splits)

    def where(self, split: str) -> str:
        """The dataset and its split, for messages."""
        return f"{self._path}, {self._splits[split]}"

    def rows(self, split: str, *, bad_lines: BadLines) -> Iterator[Row]:
        """The rows of a split; bad_lines is told the split and the row in it.

        Raises: DataError for a dataset that is not there, cannot be read, or has not the split or the columns; and
            where the library is not installed.
        """
        table, where = self._table(split), self.where(split)
        paths = self._reader.paths(table.features.arrow_schema, where)
        wanted = table.select_columns(list({way[0]: None for way in paths.values()})).with_format("arrow")
        batches = (batch for part in wanted.iter(BATCH) for batch in part.to_batches())
        yield from self._reader.rows(batches, paths, table.features.to_dict(), where, bad_lines)

    def fingerprint(self, split: str) -> str:
        """SHA-256 of the bytes of the dataset's tables on the disk, of which part is read, and how."""
        table = self._table(split)
        files = [Path(file["filename"]) for file in table.cache_files]
        features = sorted(map(repr, table.features.to_dict().items()))
        return hash_files(files, self._splits[split], features, self._reader.settings)

    def _table(self, split: str) -> Any:
        """The rows of a split as a table on the disk."""
        library = _library()
        if self._opened is None:
            self._opened = self._open(library)
        known, wanted = self._opened, self._splits[split]
        try:
            parts = library.ReadInstruction.from_spec(wanted).to_absolute(
                {name: len(table) for name, table in known.items()}
            )
        except (ValueError, AssertionError) as error:
            raise DataError(f"{self.where(split)}: no such split: {one_line(error)}") from None
        tables = [
            known[part.splitname].select(range(part.from_, part.to)) for part in parts if part.from_ < part.to
        ]
        if not tables:
            sizes = ", ".join(f"{name} {len(table):,}" for name, table in known.items())
            raise DataError(f"{self.where(split)}: there is no row in it; of rows there are: {sizes}")
        return library.concatenate_datasets(tables) if len(tables) > 1 else tables[0]

    def _open(self, library: Any) -> dict[str, Any]:
        """The dataset's splits by name."""
        folder = Path(self._path).expanduser()
        is_saved = any((folder / name).is_file() for name in ("dataset_dict.json", "state.json"))
        if not folder.is_dir() and not _NAME.fullmatch(self._path):
            what = "a file, where a folder is asked for" if folder.exists() else "no such folder"
            raise DataError(f"{self._path}: {what}, and no name of a dataset online")
        if folder.is_dir() and self._revision is not None:
            raise DataError(f"{self._path}: a folder has no revisions; set task.data.revision=null")
        if is_saved and self._config is not None:
            raise DataError(f"{self._path}: a saved dataset has no configurations; set task.data.config=null")
        with _heard(library) as faults:
            try:
                found = self._saved(library, folder) if is_saved else self._made(library, folder)
            except DataError:
                raise
            except Exception as error:  # of the hub, of file systems, of each format's parser
                raise DataError(self._refusal(error, faults, is_folder=folder.is_dir())) from None
        return {str(name): table for name, table in found.items()}

    def _saved(self, library: Any, folder: Path) -> Mapping[str, Any]:
        found = library.load_from_disk(str(folder), keep_in_memory=False)
        return found if isinstance(found, dict) else {str(found.split or "train"): found}

    def _made(self, library: Any, folder: Path) -> Mapping[str, Any]:
        """The dataset made of data files, in the library's own cache, if it does not lie there yet."""
        is_folder = folder.is_dir()
        if not is_folder:
            log.info("%s: looking for it online, and in the cache", self._path)
        builder = library.load_dataset_builder(
            str(folder.resolve()) if is_folder else self._path, self._config, revision=self._revision
        )
        reader = type(builder).__module__.removeprefix("datasets.packaged_modules.").split(".")[0]
        if reader not in READABLE:
            raise DataError(
                f"{self._path}: its data files are for the reader {reader!r}; read here are: {', '.join(READABLE)}"
            )
        builder.download_and_prepare()
        found: Mapping[str, Any] = builder.as_dataset(in_memory=False)
        return found

    def _refusal(self, error: Exception, faults: list[str], *, is_folder: bool) -> str:
        """What is wrong, in one line: of data files, which one and where."""
        if not is_folder and isinstance(error, ConnectionError):
            return (
                f"{self._path}: no folder here, not in the cache of the library datasets, and not reached online: "
                f"{one_line(error)}"
            )
        files = [match[1] for fault in faults if (match := _UNREADABLE_FILE.search(fault))]
        return f"{files[-1] if files else self._path}: cannot be read: {one_line(error.__cause__ or error)}"


@contextmanager
def _heard(library: Any) -> Iterator[list[str]]:
    """Keeps what the libraries complain of from the screen, and their bars where nobody looks; gives the complaints."""
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    loggers = [logging.getLogger(name) for name in ("datasets", "huggingface_hub")]
    before = [(logger.handlers, logger.propagate) for logger in loggers]
    has_bars = library.is_progress_bar_enabled()
    try:
        for logger in loggers:
            logger.handlers, logger.propagate = [handler], False
        if not sys.stderr.isatty():
            library.disable_progress_bars()
        yield said
    finally:
        for logger, (handlers, propagates) in zip(loggers, before, strict=True):
            logger.handlers, logger.propagate = handlers, propagates
        if has_bars:
            library.enable_progress_bars()


def _library() -> Any:
    try:
        import datasets
    except ImportError:
        message = "datasets needs a package that is not installed: pip install 'architecture-zoo[datasets]'"
        raise DataError(message) from None
    if int(datasets.__version__.split(".")[0]) < 4:
        raise DataError(
            f"the library datasets {datasets.__version__} can run code of a dataset; 4.0 and newer cannot: "
            "pip install 'architecture-zoo[datasets]'"
        )
    return datasets
