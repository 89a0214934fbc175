"""What would be right in the place of a value of the wrong type: how to write it, or an example."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from pydantic.fields import FieldInfo

from registry.keys import field_kind, registrations, spec_classes
from registry.kind import Kind
from registry.spec import Spec
from registry.words import field_words

_LONGEST_EXAMPLE = 100
_MOST_NAMED = 12
_SWITCHES = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}


def wanted(field: FieldInfo) -> str:
    """What a key takes, in words; of a part, which there are; of a mapping, how to learn its keys."""
    kind, inner = field_kind(field), next(spec_classes(field.annotation), None)
    if kind is not None:
        return f"{field_words(field)} ({named(kind)})"
    return field_words(field) if inner is None else f"a mapping (its keys: zoo explain {inner.__name__})"


def named(kind: Kind) -> str:
    """The components of a kind, or where they are many the command that lists them."""
    names = kind.names()
    return f"known: {', '.join(names)}" if len(names) <= _MOST_NAMED else f"known: zoo list {kind.name}"


def advice(given: Any, expected: str, spec: type[Spec] | None, key: str) -> str:
    """How to write what was meant by a value of the wrong type; else an example of a right one, where there is one."""
    if isinstance(given, str) and ("number" in expected or "integer" in expected) and _is_number(given):
        return f"write {given}, without quotes"
    if expected == "true or false":
        meant = _SWITCHES.get(given.lower()) if isinstance(given, str) else None
        return "" if meant is None else f"did you mean {meant}?"
    if isinstance(given, float) and expected == "an integer" and given.is_integer():
        return f"did you mean {given:.0f}?"
    return "" if spec is None else example(spec, key)


def share(given: Any, bound: float) -> str:
    """The share that a number given in percent may have meant, where only shares below 1 are taken."""
    is_percent = isinstance(given, int) and bound == 1 and 2 <= given <= 100
    return f"did you mean {given / 100:g}?" if is_percent else ""


def example(spec: type[Spec], key: str) -> str:
    """A right value of a key, its default or one of an example of its component: "for example n_heads: 8"; else ""."""
    field = spec.model_fields[key]
    candidates = [] if field.is_required() or field.default_factory else [field.default]
    candidates += [
        each[key] for _, entry in registrations(spec) for each in entry.examples if each.get(key) is not None
    ]
    texts = [flow(_plain(each)) for each in candidates if each not in (None, "", (), {})]
    return next((f"for example {key}: {text}" for text in texts if len(text) <= _LONGEST_EXAMPLE), "")


def flow(value: Any) -> str:
    """Plain data as YAML on one line, without quotes where they say nothing."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(flow, value)) + "]"
    if isinstance(value, str) and value.replace("_", "").replace("-", "").isalnum() and value[0].isalpha():
        return value
    return json.dumps(value, ensure_ascii=False)


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json", serialize_as_any=True) if isinstance(value, Spec) else value


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
