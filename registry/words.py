"""Types and bounds in plain words."""

from __future__ import annotations

from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from registry.kind import Kind
from registry.problems import show
from registry.spec import Spec

_PLAIN = {int: "an integer", float: "a number", bool: "true or false", str: "a string", NoneType: "null"}
_BOUNDS = {
    "gt": "above {}",
    "ge": "at least {}",
    "lt": "below {}",
    "le": "at most {}",
    "multiple_of": "a multiple of {}",
    "min_length": "of length at least {}",
    "max_length": "of length at most {}",
    "pattern": "matching {}",
}


def field_words(field: FieldInfo) -> str:
    """What a field takes: "an integer, at least 1"."""
    return ", ".join([type_words(field.annotation, field.metadata), *bound_words(field.metadata)])


def type_words(annotation: Any, metadata: list[Any] | tuple[Any, ...] = ()) -> str:
    """A type as a user of YAML knows it: "an integer", "'a' or 'b'", "a list of 2: a number, a number"."""
    kinds = [item for item in metadata if isinstance(item, Kind)]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if kinds:
        return f"a component of kind {kinds[0].name}" + (" or null" if NoneType in arguments else "")
    if origin is Annotated:
        return ", ".join([type_words(arguments[0], arguments[1:]), *bound_words(arguments[1:])])
    if origin is Literal:
        return either([show(value).removeprefix("the string ") for value in arguments])
    if origin in (Union, UnionType):
        return either([type_words(argument) for argument in arguments])
    if origin is tuple:
        if arguments[-1] is Ellipsis:
            return f"a list, each item {type_words(arguments[0])}"
        return f"a list of {len(arguments)}: {', '.join(type_words(argument) for argument in arguments)}"
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        return f"a mapping ({annotation.__name__})"
    return _PLAIN.get(annotation) or str(getattr(annotation, "__name__", annotation))


def bound_words(metadata: list[Any] | tuple[Any, ...]) -> list[str]:
    """The bounds among a field's metadata: ["at least 1", "below 10"]."""
    words = []
    for item in metadata:
        for name, text in _BOUNDS.items():
            if (bound := getattr(item, name, None)) is not None:
                words.append(text.format(bound))
    return words


def either(options: list[str]) -> str:
    """ "a, b or c" """
    return options[0] if len(options) == 1 else f"{', '.join(options[:-1])} or {options[-1]}"
