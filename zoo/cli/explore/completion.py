"""What may stand where the cursor is in a spec's text: keys, names of components, values, with what each means."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import presets
from registry import Spec, describe_fields, field_kind, specs_at
from zoo.cli.text import first_sentence
from zoo.run.spec import RunSpec

_KEY = re.compile(r"([A-Za-z_][\w.]*)\s*:(?:\s+|$)")
_WORD = re.compile(r"[\w./]*$")
_OWN = {"scales": "Other sizes of it, by name.", "extends": "A preset's name, over which this is laid."}
_LIKE = "What stands at a path of a preset."


@dataclass(frozen=True)
class Option:
    """A word that may stand there."""

    text: str
    about: str
    """What it is, in a line."""
    after: str = ""
    """What follows it when it is taken."""


@dataclass(frozen=True)
class Cursor:
    """Where the cursor is."""

    path: tuple[str, ...]
    """Of the mapping around it."""
    key: str | None
    """The key whose value is written; None: a key is."""
    word: str
    """What of it is written already."""


def completions(text: str, at: int, data: Any) -> dict[str, Any]:
    """The word before `at` and what may stand in its place; data is what the text last said when it could be read."""
    cursor = cursor_at(text, at)
    options = [each for each in _options(cursor, data) if each.text.startswith(cursor.word)]
    if [each.text for each in options] == [cursor.word]:
        options = []
    return {"word": cursor.word, "options": [asdict(each) for each in options]}


def values(key: str, data: Any) -> list[Option]:
    """What a dotted key of a document with this data may be set to, where that is few."""
    *above, name = key.split(".")
    return list(_options(Cursor(tuple(above), name, ""), data))


def cursor_at(text: str, at: int) -> Cursor:
    """Where a place of a text is, by the indentation above it and the braces before it."""
    *above, line = text[:at].split("\n")
    word = _WORD.search(line)
    assert word is not None
    stack: list[
        tuple[int, str]
    ] = []  # the column of each key above, and the key; of a list's item its number
    for each in above:
        _enter(stack, each)
    body = line[: len(line) - len(word[0])]
    indent = len(line) - len(line.lstrip(" "))
    _leave(stack, indent, is_item=line.lstrip().startswith("- "))
    key, inside = _within(stack, body, indent)
    return Cursor((*(name for _, name in stack), *inside), key, word[0])


def _enter(stack: list[tuple[int, str]], line: str) -> None:
    """Goes on by a line of a block: what it leaves, and the key that it opens."""
    rest = line.lstrip(" ")
    if not rest or rest.startswith("#"):
        return
    column = len(line) - len(rest)
    _leave(stack, column, is_item=rest.startswith("- "))
    while rest.startswith("- "):
        _count(stack, column)
        column, rest = column + 2, rest[2:]
    if found := _KEY.match(rest):
        stack.append((column, found[1]))


def _leave(stack: list[tuple[int, str]], column: int, *, is_item: bool) -> None:
    while stack and (
        stack[-1][0] > column or (stack[-1][0] == column and not (is_item and not stack[-1][1].isdigit()))
    ):
        if is_item and stack[-1][1].isdigit() and stack[-1][0] == column:
            return
        stack.pop()


def _count(stack: list[tuple[int, str]], column: int) -> None:
    """The next item of the list at a column."""
    number = 0
    if stack and stack[-1][0] == column and stack[-1][1].isdigit():
        number = int(stack.pop()[1]) + 1
    stack.append((column, str(number)))


def _within(stack: list[tuple[int, str]], body: str, column: int) -> tuple[str | None, list[str]]:
    """The key before the cursor on its own line, if its value is written, and the keys of braces around it."""
    rest = body.lstrip(" ")
    while rest.startswith("- "):
        _count(stack, column)
        column, rest = column + 2, rest[2:]
    keys: list[str] = []
    key: str | None = None
    if found := _KEY.match(rest):
        key, rest = found[1], rest[found.end() :]
    while rest:
        if rest[0] == "{" and key is not None:
            keys.append(key)
            key = None
        elif rest[0] == "}" and keys:
            key = keys.pop()
        elif rest[0] == "," and keys:
            key = None
        elif key is None and (found := _KEY.match(rest)):
            key, rest = found[1], rest[found.end() :]
            continue
        rest = rest[1:]
    return key, keys


def _options(cursor: Cursor, data: Any) -> Iterator[Option]:
    specs = specs_at(RunSpec, data, cursor.path)
    if cursor.key is None:
        yield from _keys(cursor, specs, data)
    elif cursor.key == "like":
        yield from (Option(name, "preset", ".") for name in presets.names())
    elif cursor.key == "extends" and not cursor.path:
        yield from (Option(name, "preset") for name in presets.names())
    elif cursor.key == "type" and cursor.path:
        yield from _values(specs_at(RunSpec, data, cursor.path[:-1]), cursor.path[-1])
    else:
        yield from _values(specs, cursor.key)


def _keys(cursor: Cursor, specs: Sequence[type[Spec]], data: Any) -> Iterator[Option]:
    there = data
    for key in cursor.path:
        there = there.get(key) if isinstance(there, dict) else None
    around = specs_at(RunSpec, data, cursor.path[:-1]) if cursor.path else []
    fields = [spec.model_fields[cursor.path[-1]] for spec in around if cursor.path[-1] in spec.model_fields]
    if any("type" in spec.model_fields for spec in specs) or any(map(field_kind, fields)):
        yield Option("type", "Which component.", ": ")
    for spec in specs:
        for field in describe_fields(spec):
            default = "required" if field["required"] else f"default {field['default']!r}"
            what = ", ".join([field["type"], *field["bounds"]])
            yield Option(field["name"], f"{what}; {default}. {first_sentence(field['doc'])}", ": ")
    if not cursor.path:
        yield from (Option(name, about, ": ") for name, about in _OWN.items())
    elif specs:
        yield Option("like", _LIKE, ": ")


def _values(specs: Sequence[type[Spec]], key: str) -> Iterator[Option]:
    for spec in specs:
        field = spec.model_fields.get(key)
        if field is None:
            continue
        kind = field_kind(field)
        if kind is not None:
            yield from (Option(name, kind.entry(name).summary) for name in kind.names())
        for value in _choices(field.annotation):
            yield Option(
                "true" if value is True else "false" if value is False else str(value),
                first_sentence(field.description or ""),
            )


def _choices(annotation: Any) -> Iterator[Any]:
    """The values that a field may have where they are few."""
    if annotation is bool:
        yield from (True, False)
    elif get_origin(annotation) is Literal:
        yield from get_args(annotation)
    elif get_origin(annotation) in (Union, UnionType):
        for each in get_args(annotation):
            yield from _choices(each)
