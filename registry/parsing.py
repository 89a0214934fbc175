"""parse and dump: plain data to specs and back, with every mistake in words of our own."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from registry.advice import advice, example, share, wanted
from registry.keys import dotted_keys, suggest_key, value_at
from registry.plugins import PluginError
from registry.problems import Problem, SpecError, did_you_mean, show
from registry.spec import Spec
from registry.walk import check_alone
from registry.words import either

AnySpec = TypeVar("AnySpec", bound=Spec)
Readers = list[tuple[Mapping[Any, Any], type[Spec]]]  # which spec read which mapping

_MOST_MISTAKES = 100  # of one document; nobody reads on, and each costs a search for the nearest name

# How pydantic calls the members of a union in its locations; our keys are in lower case.
_MEMBER = re.compile(r"[A-Z]\w*|.*\[.*\]|(function|constrained)-.*|int|float|str|bool|none|dict|tuple")

# What would have been right, by pydantic's type of error; {} is taken from its context.
_EXPECTED = {
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "finite_number": "a finite number",
    "float_type": "a number",
    "frozen_set_type": "a list",
    "greater_than": "above {gt}",
    "greater_than_equal": "at least {ge}",
    "int_from_float": "an integer",
    "int_type": "an integer",
    "invalid_key": "a string, as every key",
    "less_than": "below {lt}",
    "less_than_equal": "at most {le}",
    "model_attributes_type": "a mapping",
    "model_type": "a mapping",
    "multiple_of": "a multiple of {multiple_of}",
    "none_required": "null",
    "string_pattern_mismatch": "a string that matches {pattern}",
    "string_too_long": "a string of at most {max_length} characters",
    "string_too_short": "a string of at least {min_length} characters",
    "string_type": "a string",
    "too_long": "a list of at most {max_length}",
    "too_short": "a list of at least {min_length}",
    "tuple_type": "a list",
}
_OF_TYPE = {kind for kind in _EXPECTED if kind.endswith("_type")} | {
    "int_from_float",
    "too_long",
    "too_short",
}


def parse(
    spec_class: type[AnySpec], data: Any, *, path: str = "", locate: Callable[[str], str] | None = None
) -> AnySpec:
    """Reads plain data as a spec: its form, then the limits that it and its parts say: see `check`.

    Where the form of a field is wrong that may be left out, the limits of the others are looked at all the same.
    path is where the data stands in its document; locate gives the `file:line` of a path, or "".

    Raises: SpecError with every problem; PluginError where a module of components cannot be loaded.
    """
    readers: Readers = []
    try:
        spec = spec_class.model_validate(data, context={"readers": readers})
    except ValidationError as error:
        problems = _explain(error.errors(include_url=False), data, path, readers, spec_class)
        problems += _limits_elsewhere(spec_class, data, path, problems)
    else:
        problems = _told_where_made(check_alone(spec, path), data, path)
        if not problems:
            return spec
    if locate is not None:
        problems = [
            problem if problem.where else replace(problem, where=_where(problem, locate))
            for problem in problems
        ]
    raise SpecError(problems)


def _limits_elsewhere(
    spec_class: type[Spec], data: Any, path: str, mistakes: Sequence[Problem]
) -> list[Problem]:
    """What the parts say of a spec without the fields whose form is wrong, if it may go without them."""
    start = f"{path}." if path else ""
    wrong = {mistake.path.removeprefix(start).partition(".")[0] for mistake in mistakes}
    fields = [field for name, field in spec_class.model_fields.items() if name in wrong]
    if not isinstance(data, Mapping) or any(field.default is not None for field in fields):
        return []
    try:
        rest = {key: value for key, value in data.items() if key not in wrong}
        return check_alone(spec_class.model_validate(rest, context={"readers": []}), path)
    except ValidationError:  # of what was beyond the most mistakes that are told
        return []


def _told_where_made(problems: list[Problem], data: Any, path: str) -> list[Problem]:
    """A validator may copy one part of the data to another: what is wrong there too is told where it was given."""

    def is_given(problem: Problem) -> bool:
        return value_at(data, problem.path.removeprefix(path).strip(".")) is not None

    def essence(problem: Problem) -> tuple[str, str]:
        return problem.path.rpartition(".")[2], problem.message

    given = {essence(problem) for problem in problems if is_given(problem)}
    return [problem for problem in problems if is_given(problem) or essence(problem) not in given]


def dump(spec: Spec) -> dict[str, Any]:
    """The spec as plain JSON-able data, complete with defaults and sub-specs; `parse` reads it back equal."""
    return _type_first(spec.model_dump(mode="json", serialize_as_any=True))


def _type_first(data: Any) -> Any:
    """A spec that inherits its fields has `type` after them, but a reader wants to know first what it is."""
    if isinstance(data, list):
        return [_type_first(item) for item in data]
    if not isinstance(data, dict):
        return data
    first = {"type": data["type"]} if "type" in data else {}
    return {**first, **{key: _type_first(value) for key, value in data.items() if key != "type"}}


def _where(problem: Problem, locate: Callable[[str], str]) -> str:
    """Where the path stands; a key that is missing stands where its parent does."""
    parts = problem.path.split(".") if problem.path else []
    for length in range(len(parts), -1, -1):
        if where := locate(".".join(parts[:length])):
            return where
    return ""


@dataclass(frozen=True)
class _Place:
    """Where an error of pydantic's stands in the data."""

    path: tuple[str, ...]
    holder: Any
    """What holds the path's last key in the data given; None where it does not go that deep."""
    unions: tuple[tuple[tuple[str, ...], str], ...]
    """The fields of several types above this place: each one's path, and which type complains."""
    made: bool
    """Whether a validator made this place, for the data given has none."""


@dataclass(frozen=True)
class _Mistake:
    """One error in our words."""

    place: _Place
    expected: str
    """What the value must be; empty where `text` says all."""
    text: str
    """What is wrong; where something was expected, the value given instead."""
    suggestion: str = ""
    holders: tuple[type[Spec], ...] = ()
    """For an unknown key: the specs that met it."""

    def problem(self, path: str, everywhere: Sequence[str]) -> Problem:
        """As a problem of a document that has the keys `everywhere`."""
        where = ".".join((path, *self.place.path) if path else self.place.path)
        text = f"must be {self.expected}, got {self.text}" if self.expected else self.text
        if self.holders:
            siblings = {name for spec in self.holders for name in spec.model_fields}
            return Problem(where, text, suggest_key(where, siblings, everywhere, self.holders))
        return Problem(where, text, self.suggestion)


def _explain(
    errors: list[ErrorDetails], data: Any, path: str, readers: Readers, spec_class: type[Spec]
) -> list[Problem]:
    for error in errors:
        cause = error.get("ctx", {}).get("error")
        if isinstance(cause, PluginError):
            raise cause
    # A default made from other fields is not made where one of those is wrong: no mistake of its own.
    # Nor is a list too short from which only its wrong items are missing.
    own = [error for error in errors if error["type"] != "default_factory_not_called" and not _is_long(error)]
    mistakes = [_mistake(error, _place(error, data), readers) for error in own[:_MOST_MISTAKES]]
    settled = _settle(mistakes, 0)
    # A validator may copy one part of the data to another, mistakes and all: tell them where they were made.
    given = {_essence(mistake) for mistake in settled if not mistake.place.made}
    settled = [m for m in settled if not m.place.made or _essence(m) not in given]
    everywhere = list(dotted_keys(spec_class, data, path)) if any(m.holders for m in settled) else []
    problems = [mistake.problem(path, everywhere) for mistake in settled]
    if len(own) > _MOST_MISTAKES:
        problems.append(Problem(path, f"{len(own) - _MOST_MISTAKES} further mistakes are not listed"))
    return problems


def _is_long(error: ErrorDetails) -> bool:
    """Whether a list that is said to be too short has as many items as it must, some of which are wrong."""
    given = error["input"]
    is_list = error["type"] == "too_short" and isinstance(given, list | tuple)
    return is_list and len(given) >= error.get("ctx", {}).get("min_length", 0)


def _essence(mistake: _Mistake) -> tuple[tuple[str, ...], str, str]:
    return mistake.place.path[-1:], mistake.expected, mistake.text


def _settle(mistakes: list[_Mistake], level: int) -> list[_Mistake]:
    """Of a field of several types, the complaints of the type that came nearest, or one for them all.

    level counts the fields of several types within one another that are settled already.
    """
    settled = [mistake for mistake in mistakes if len(mistake.place.unions) <= level]
    fields: dict[tuple[str, ...], dict[str, list[_Mistake]]] = {}
    for mistake in mistakes:
        if len(mistake.place.unions) > level:
            path, member = mistake.place.unions[level]
            fields.setdefault(path, {}).setdefault(member, []).append(mistake)
    for path, members in fields.items():
        # A type that could read the value's outside complains of the inside, and only that matters.
        entered = [
            found for found in members.values() if any(mistake.place.path != path for mistake in found)
        ]
        if entered:
            settled += _settle(min(entered, key=_distance), level + 1)
        else:
            settled += _joined([mistake for found in members.values() for mistake in found])
    return settled


def _distance(mistakes: list[_Mistake]) -> tuple[int, int]:
    """How far a type is from a value: keys unknown or missing first, then wrong values."""
    return sum(not mistake.expected for mistake in mistakes), len(mistakes)


def _joined(mistakes: list[_Mistake]) -> list[_Mistake]:
    """Several types' complaints of one value: it must be this, that or the other."""
    if not all(mistake.expected for mistake in mistakes):
        return mistakes
    options = [option for mistake in mistakes for option in re.split(", | or ", mistake.expected)]
    suggestions = [mistake.suggestion for mistake in mistakes if mistake.suggestion]
    suggestion = min(suggestions, key=lambda text: text.startswith("for example"), default="")
    return [replace(mistakes[0], expected=either(list(dict.fromkeys(options))), suggestion=suggestion)]


def _mistake(error: ErrorDetails, place: _Place, readers: Readers) -> _Mistake:
    kind, context, given = error["type"], error.get("ctx", {}), error["input"]
    expected = suggestion = ""
    holders: tuple[type[Spec], ...] = ()
    text = show(given)
    key = place.path[-1] if place.path else ""
    if kind == "missing":
        own = next((spec for mapping, spec in readers if mapping is given and key in spec.model_fields), None)
        text = "missing" if own is None else f"missing key; give {wanted(own.model_fields[key])}"
        suggestion = "" if own is None else example(own, key)
    elif kind == "extra_forbidden":
        text, holders = "unknown key", _holders(key, given, place.holder, readers)
    elif kind in ("value_error", "assertion_error"):
        text = str(context["error"])
    elif kind == "kind":
        text = context["text"]
    elif kind == "literal_error":
        expected = context["expected"]
        suggestion = did_you_mean(given, re.findall(r"'([^']*)'", expected)) if isinstance(given, str) else ""
    elif kind in _EXPECTED:
        bounds = {
            name: f"{bound:g}" if isinstance(bound, float) else bound for name, bound in context.items()
        }
        expected = _EXPECTED[kind].format(**bounds)
        if kind == "less_than":
            suggestion = share(given, context["lt"])
        elif kind in _OF_TYPE:
            reader = (s for mapping, s in readers if mapping is place.holder and key in s.model_fields)
            suggestion = advice(given, expected, next(reader, None), key)
    else:
        text = f"cannot be {text}: {error['msg'][:1].lower()}{error['msg'][1:]}"
    return _Mistake(place, expected, text, suggestion, holders)


def _holders(key: str, value: Any, holder: Any, readers: Readers) -> tuple[type[Spec], ...]:
    """The specs that met an unknown key, in the mapping given or in one made of it."""
    here = [spec for mapping, spec in readers if mapping is holder]
    made = [spec for mapping, spec in readers if key in mapping and mapping[key] is value]
    return tuple(dict.fromkeys(spec for spec in here or made if key not in spec.model_fields))


def _place(error: ErrorDetails, data: Any) -> _Place:
    """Finds pydantic's location, which mixes keys with the names of a union's members, in the data."""
    path: tuple[str, ...] = ()
    unions: tuple[tuple[tuple[str, ...], str], ...] = ()
    holder, n_absent = data, 0
    for step in error["loc"]:
        if _has(data, step):
            path, holder, data = (*path, str(step)), data, data[step]
        elif isinstance(step, str) and _MEMBER.fullmatch(step):
            unions = (*unions, (path, step))
        else:
            path, holder, data = (*path, str(step)), data, None
            n_absent += 1
    return _Place(path, holder, unions, n_absent > (error["type"] in ("missing", "kind")))


def _has(data: Any, step: int | str) -> bool:
    if isinstance(data, list | tuple):
        return isinstance(step, int) and step < len(data)
    return isinstance(data, Mapping) and step in data
