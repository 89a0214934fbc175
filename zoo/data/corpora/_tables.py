"""Rows out of Arrow's tables: what Parquet and Hugging Face's datasets have in common."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from registry import suggest
from zoo.data.bad_lines import BadLines
from zoo.data.corpora._named import NamedFieldsSpec, checked, kind_of
from zoo.data.images import Colours, Side, fitted, size_of
from zoo.errors import DataError
from zoo.kinds import Row

BATCH = 1_000
"""Rows that are in memory at a time."""

_Name = Annotated[str, Field(min_length=1)]


class TableSpec(NamedFieldsSpec):
    columns: dict[_Name, _Name] = Field({"text": "text"}, min_length=1)
    """The column that each field of a row is read from, such as `{text: review, label: stars}`; of a column that has
    parts, one of them behind a point: `{source: translation.en, target: translation.de}`. Others are not read.
    By default the fields that the task reads, each under its own name."""
    image_size: Side | tuple[Side, Side] | None = None
    """Of a field `image`, height and width that images are brought to: scaled until they fill it, and cut at the longer
    side's ends; null where none is read."""
    colours: Colours = "colour"
    """Of a field `image`, three numbers a pixel, or one; images are converted."""

    def check(self) -> None:
        if "image" in self.columns and self.image_size is None:
            raise ValueError("the field image needs image_size, the height and width that the model reads")
        if "image" not in self.columns and self.image_size is not None:
            raise ValueError("image_size is of a field image, which columns does not name")


class _Broken(NamedTuple):
    """Stands for a value that is no text, though its column is of texts."""

    why: str


class TableReader:
    """Makes rows of the batches of a table: of each field the column, or part of one, that it is read from.

    What may stand in a field is as `checked` says; the names of classes are those of a table of Hugging Face's.
    """

    def __init__(
        self, columns: Mapping[str, str], image_size: int | tuple[int, int] | None, colours: Colours
    ) -> None:
        self.columns = dict(columns)
        self._size = size_of(image_size or 1)
        self._colours = colours

    @property
    def settings(self) -> tuple[object, ...]:
        """What decides how a table is read."""
        return (sorted(self.columns.items()), self._size, self._colours)

    def paths(self, schema: Any, where: str) -> dict[str, list[str]]:
        """The way to each field in a table: its column, and the parts within it.

        Raises: DataError where there is none, with the columns there are.
        """
        return {field: _path(schema, name, where) for field, name in self.columns.items()}

    def rows(
        self,
        batches: Iterable[Any],
        paths: Mapping[str, Sequence[str]],
        features: Mapping[str, Any],
        where: str,
        bad_lines: BadLines,
    ) -> Iterator[Row]:
        """The good rows of Arrow's record batches; bad_lines is told of the others, and what each is called.

        features are those of Hugging Face, as JSON has them, by column; empty where the table has none.
        Raises: DataError for a table without rows.
        """
        names = {field: _class_names(features, path) for field, path in paths.items()}
        number = 0
        for batch in batches:
            columns = [_values(batch, path) for path in paths.values()]
            for values in zip(*columns, strict=True):
                number += 1
                bad_lines.place = f"{where}, row {number}"
                row: dict[str, Any] = {}
                for (field, name), value in zip(self.columns.items(), values, strict=True):
                    row[field], reason, detail = self._read(field, value, names[field])
                    if reason:
                        bad_lines.report(bad_lines.place, reason, f"column '{name}': {detail}")
                        break
                else:
                    yield row
        if not number:
            raise DataError(f"{where}: there is no row in it")

    def _read(self, field: str, value: Any, names: Sequence[str]) -> tuple[Any, str, str]:
        """A field's value; or why it is bad, and a detail for the message."""
        if isinstance(value, _Broken):
            return None, "broken UTF-8", value.why
        if field == "image" and value is not None:
            return self._image(value)
        return checked(field, value, beside=self.columns, classes=names)

    def _image(self, value: Any) -> tuple[Any, str, str]:
        data = value.get("bytes") if isinstance(value, dict) else value
        if not isinstance(data, bytes):
            return None, "no image", f"the bytes of an image file are asked for, and this is {kind_of(data)}"
        found = fitted(io.BytesIO(data), self._size, self._colours)
        return (None, "no image", found) if isinstance(found, str) else (found, "", "")


def _path(schema: Any, name: str, where: str) -> list[str]:
    """The column, and the parts within it, that a name means: a column of the whole name goes before."""
    known = _names(schema)
    if name not in known:
        raise DataError(f"{where}: no column {name!r}; {suggest(name, list(known))} (task.data.columns)")
    return known[name]


def _names(fields: Iterable[Any], above: Sequence[str] = ()) -> dict[str, list[str]]:
    """Every column, and every part of one, by its name with points: the way to it."""
    found: dict[str, list[str]] = {}
    inner: dict[str, list[str]] = {}
    for field in fields:
        path = [*above, field.name]
        found[".".join(path)] = path
        if hasattr(field.type, "num_fields") and _is_struct(field.type):
            inner |= _names([field.type.field(i) for i in range(field.type.num_fields)], path)
    return inner | found


def _is_struct(kind: Any) -> bool:
    import pyarrow

    return bool(pyarrow.types.is_struct(kind))


def _values(batch: Any, path: Sequence[str]) -> list[Any]:
    """A batch's values of a column, or of a part of one."""
    import pyarrow.compute

    column = batch.column(path[0])
    if len(path) > 1:
        column = pyarrow.compute.struct_field(column, list(path[1:]))
    try:
        return list(column.to_pylist())
    except UnicodeDecodeError:
        return [_value(item) for item in column]


def _value(item: Any) -> Any:
    try:
        return item.as_py()
    except UnicodeDecodeError as error:
        return _Broken(f"byte 0x{error.object[error.start]:02x} at byte {error.start + 1} ({error.reason})")


def _class_names(features: Mapping[str, Any], path: Sequence[str]) -> Sequence[str]:
    """The names of the classes of a column, or of the items of its lists; empty where it has none."""
    feature: Any = features
    for part in path:
        feature = feature.get(part) if isinstance(feature, Mapping) else None
    while isinstance(feature, Mapping) and feature.get("_type") in ("List", "LargeList", "Sequence"):
        feature = feature.get("feature")
    if isinstance(feature, list) and len(feature) == 1:  # how older versions write a list
        feature = feature[0]
    if not isinstance(feature, Mapping) or feature.get("_type") != "ClassLabel":
        return ()
    names = feature.get("names")
    is_list = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return names if is_list else ()  # type: ignore[return-value]
