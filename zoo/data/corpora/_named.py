"""Corpora whose fields the reader names: by default those of the task; and what may stand in a field."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field

from zoo.kinds import CorpusSpec

TEXTS = frozenset({"text", "text_pair", "source", "target", "tree"})
WORDS = frozenset({"tokens", "tags", "references"})

_Name = Annotated[str, Field(min_length=1)]


class NamedFieldsSpec(CorpusSpec):
    names_fields: ClassVar = True

    columns: dict[_Name, _Name] = Field({"text": "text"}, min_length=1)
    """Where each field of a row stands; by default the fields that the task reads, each under its own name."""

    @property
    def fields(self) -> tuple[str, ...]:
        return tuple(self.columns)

    def read_by(self, fields: tuple[str, ...]) -> Self:
        is_given = "columns" in self.model_fields_set
        return self if is_given else self.model_copy(update={"columns": {name: name for name in fields}})


def checked(
    field: str, value: Any, *, beside: Collection[str], classes: Sequence[str] = ()
) -> tuple[Any, str, str]:
    """A field's value; or why it is bad, and a detail for the message. beside: the fields of the row.

    Texts, and the items of lists of them, have something in them; but a reference may be empty. Tokens beside `labels`
    are ids, else words. A class that is a number becomes its name where the classes have names, else the number as a
    text. What stands in a field of another name is given as it is.
    """
    if value is None:
        return None, "missing field", "nothing there"
    if field == "label":
        return _class(value, classes)
    is_words = field in WORDS and not (field == "tokens" and "labels" in beside)
    if is_words and not isinstance(value, str):
        return _words(field, value, classes)
    if field in TEXTS and not isinstance(value, str):
        return None, "no text", f"a text is asked for, and this is {kind_of(value)}"
    if isinstance(value, str) and not value.strip():
        return None, "empty field", "nothing but spaces" if value else "a text of no character"
    return value, "", ""


def kind_of(value: Any) -> str:
    """What a value is, in a message."""
    return "nothing" if value is None else f"of type {type(value).__name__}"


def _class(value: Any, classes: Sequence[str]) -> tuple[Any, str, str]:
    if classes and isinstance(value, int):
        if not 0 <= value < len(classes):
            return None, "no label", f"{value}, of {len(classes)} classes numbered from 0"
        return classes[value], "", ""
    if isinstance(value, str):
        return (value, "", "") if value.strip() else (None, "empty field", "no label in it")
    if isinstance(value, int | float) and math.isfinite(value):
        return repr(value), "", ""
    what = repr(value) if isinstance(value, float) else kind_of(value)
    return None, "no label", f"a name or a number is asked for, and this is {what}"


def _words(field: str, value: Any, classes: Sequence[str]) -> tuple[Any, str, str]:
    if not isinstance(value, list):
        return None, "no list", f"a list of texts is asked for, and this is {kind_of(value)}"
    found = []
    for number, item in enumerate(value, 1):
        if field == "tags":
            item, reason, detail = (
                (None, "missing field", "nothing") if item is None else _class(item, classes)
            )
        elif isinstance(item, str):
            is_good = field == "references" or item.strip()
            reason, detail = ("", "") if is_good else ("empty field", "no word in it")
        else:
            reason, detail = "no text", f"a text is asked for, and this is {kind_of(item)}"
        if reason:
            return None, reason, f"item {number}: {detail}"
        found.append(item)
    return found, "", ""
