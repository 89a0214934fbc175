"""Rows out of Arrow's tables: what Parquet and Hugging Face's datasets have in common."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from registry import suggest
from zoo.data.bad_lines import BadLines
from zoo.data.corpora._named import NamedFieldsSpec
from zoo.data.images import Colours, Side, fitted, size_of
from zoo.errors import DataError
from zoo.kinds import Row

BATCH = 1_000
"""Rows that are in memory at a time."""
TEXTS = frozenset({"text", "text_pair", "source", "target", "tree"})
WORDS = frozenset({"tokens", "tags"})

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

    Texts, and the items of lists of them, have something in them. A class that is a number becomes its name where the
    table has names of classes, as those of Hugging Face do, else the number as a text. What stands in a field of
    another name is given as it is.
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
        if value is None:
            return None, "missing field", "nothing there"
        if isinstance(value, _Broken):
            return None, "broken UTF-8", value.why
        if field == "image":
            return self._image(value)
        if field == "label":
            return _class(value, names)
        if field in WORDS and not isinstance(value, str):
            return _words(field, value, names)
        if field in TEXTS and not isinstance(value, str):
            return None, "no text", f"a text is asked for, and this is {_kind(value)}"
        if isinstance(value, str) and not value.strip():
            return None, "empty field", "nothing but spaces" if value else "a text of no character"
        return value, "", ""

    def _image(self, value: Any) -> tuple[Any, str, str]:
        data = value.get("bytes") if isinstance(value, dict) else value
        if not isinstance(data, bytes):
            return None, "no image", f"the bytes of an image file are asked for, and this is {_kind(data)}"
        found = fitted(io.BytesIO(data), self._size, self._colours)
        return (None, "no image", found) if isinstance(found, str) else (found, "", "")


def _class(value: Any, names: Sequence[str]) -> tuple[Any, str, str]:
    if names and isinstance(value, int):
        if not 0 <= value < len(names):
            return None, "no label", f"{value}, of {len(names)} classes numbered from 0"
        return names[value], "", ""
    if isinstance(value, str):
        return (value, "", "") if value.strip() else (None, "empty field", "no label in it")
    if isinstance(value, int | float):
        return repr(value), "", ""
    return None, "no label", f"a name or a number is asked for, and this is {_kind(value)}"


def _words(field: str, value: Any, names: Sequence[str]) -> tuple[Any, str, str]:
    if not isinstance(value, list):
        return None, "no list", f"a list of texts is asked for, and this is {_kind(value)}"
    found = []
    for number, item in enumerate(value, 1):
        if field == "tags":
            item, reason, detail = (None, "missing field", "nothing") if item is None else _class(item, names)
        elif isinstance(item, str):
            reason, detail = ("", "") if item.strip() else ("empty field", "no word in it")
        else:
            reason, detail = "no text", f"a text is asked for, and this is {_kind(item)}"
        if reason:
            return None, reason, f"item {number}: {detail}"
        found.append(item)
    return found, "", ""


def _kind(value: Any) -> str:
    """What a value is, in a message."""
    return "nothing" if value is None else f"of type {type(value).__name__}"


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
