"""Examples in files: named arrays a row, written in a stream, read memory-mapped."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.integer]
Example = Mapping[str, NDArray[Any]]
"""One row as a task learns from it: arrays by their names, of one dimension or more."""


def text_array(text: str) -> NDArray[np.uint8]:
    """A text as an array: its bytes in UTF-8."""
    return np.frombuffer(text.encode(), np.uint8)


def text_of(array: NDArray[Any]) -> str:
    """The text that an array holds."""
    return array.tobytes().decode()


ABOUT = "about.json"
"""Name of the file that says what the others hold."""


class Column:
    """N arrays, one a row, none of them in memory until asked for; they differ in their first dimension only."""

    def __init__(self, folder: Path, name: str, dtype: str, shape: Sequence[int]) -> None:
        self._shape = tuple(shape)  # of an item: what an array has beyond its first dimension
        self._values = _mapped(folder / f"{name}.values", dtype).reshape(-1, *self._shape)
        self._offsets: NDArray[np.int64] = _mapped(folder / f"{name}.offsets", "<i8")

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __getitem__(self, number: int) -> NDArray[Any]:
        return self._values[self._offsets[number] : self._offsets[number + 1]]

    def lengths(self) -> NDArray[np.int32]:
        """Items in each array [N]."""
        return np.diff(self._offsets).astype(np.int32)

    @property
    def values(self) -> NDArray[Any]:
        """All arrays, one after the other."""
        return self._values

    @property
    def offsets(self) -> NDArray[np.int64]:
        """Where each array begins in `values`, and at last where they end [N + 1]."""
        return self._offsets


class ExampleWriter:
    """Writes the files of examples, some at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = ExitStack()
        self._columns: dict[str, _ColumnWriter] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files.close()

    def add(self, examples: Sequence[Example]) -> None:
        """Appends examples, all of which have the names, dtypes and shapes of items of the first one of all.

        Raises: ValueError or TypeError for another one, which would lie beside the wrong rows, or be changed.
        """
        if not examples:
            return
        names = (self._columns or examples[0]).keys()
        for example in examples:
            if example.keys() != names:
                raise ValueError(f"an example has {', '.join(example)}, and the first one {', '.join(names)}")
        for name in examples[0]:
            arrays = [example[name] for example in examples]
            if name not in self._columns:
                self._columns[name] = _ColumnWriter(self._files, self._folder, name, arrays[0])
            self._columns[name].add(arrays)

    def about(self) -> dict[str, dict[str, Any]]:
        """What `ExampleStore` needs to know of each column."""
        return {
            name: {"dtype": column.dtype.str, "shape": list(column.shape)}
            for name, column in self._columns.items()
        }


class _ColumnWriter:
    def __init__(self, files: ExitStack, folder: Path, name: str, first: NDArray[Any]) -> None:
        self.dtype, self.shape = first.dtype.newbyteorder("<"), first.shape[1:]
        self._values = files.enter_context((folder / f"{name}.values").open("wb"))
        self._offsets = files.enter_context((folder / f"{name}.offsets").open("wb"))
        self._offsets.write(bytes(8))
        self._end = 0

    def add(self, arrays: Sequence[NDArray[Any]]) -> None:
        ends = self._end + np.cumsum([len(array) for array in arrays], dtype="<i8")
        self._end = int(ends[-1])
        self._offsets.write(ends.astype("<i8").tobytes())
        values = np.concatenate(arrays)
        if values.shape[1:] != self.shape:
            raise ValueError(
                f"an array has items of shape {values.shape[1:]}, and the first one {self.shape}"
            )
        self._values.write(values.astype(self.dtype, casting="safe").tobytes())


class ExampleStore:
    """The examples of a split, and what was left out of it.

    counts says how many rows were left out for which reason.
    """

    def __init__(self, folder: Path) -> None:
        about = json.loads((folder / ABOUT).read_bytes())
        self.folder = folder
        self.columns = {
            name: Column(folder, name, column["dtype"], column["shape"])
            for name, column in about["columns"].items()
        }
        self.counts: dict[str, int] = about["counts"]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, number: int) -> Example:
        return {name: column[number] for name, column in self.columns.items()}

    def __reduce__(self) -> tuple[type[ExampleStore], tuple[Path]]:
        return ExampleStore, (self.folder,)  # a data process maps the files itself instead of getting a copy


@contextmanager
def temporary_store(examples: Sequence[Example]) -> Iterator[ExampleStore]:
    """A store of these examples, in a folder that goes away again."""
    with TemporaryDirectory(prefix="zoo-examples-") as name:
        folder = Path(name)
        with ExampleWriter(folder) as writer:
            writer.add(examples)
            columns = writer.about()
        (folder / ABOUT).write_text(json.dumps({"columns": columns, "counts": {}}), encoding="utf-8")
        yield ExampleStore(folder)


def _mapped(path: Path, dtype: str) -> NDArray[Any]:
    """A file's values; an empty file cannot be mapped."""
    if path.stat().st_size == 0:
        return np.empty(0, dtype)
    # A plain array over the mapping: slicing a memmap takes three times as long.
    return np.asarray(np.memmap(path, dtype, mode="r"))
