"""Components and specs as plain data, for a command line or a page to render."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from pydantic.fields import FieldInfo

from registry.keys import spec_classes
from registry.kind import Kind
from registry.spec import Spec
from registry.words import bound_words, type_words


def describe(kind: Kind, name: str) -> dict[str, Any]:
    """A component: its kind, name, summary, doc, contract, context, where, examples and fields."""
    entry = kind.entry(name)
    return {
        "kind": kind.name,
        "name": name,
        "summary": entry.summary,
        "doc": inspect.getdoc(entry.builder) or "",
        "contract": kind.contract,
        "where": entry.where,
        "context": list(kind.context),
        "examples": [dict(example) for example in entry.examples],
        "fields": describe_fields(entry.spec),
    }


def inner_specs(spec_class: type[Spec], kinds: Sequence[Kind]) -> dict[str, type[Spec]]:
    """The specs, by name, that a document is made of and that are no components: that one and those inside."""
    components = {kind.entry(name).spec for kind in kinds for name in kind.names()}
    found = {spec_class.__name__: spec_class}
    todo: list[type[Spec]] = [spec_class, *components]
    while todo:
        for field in todo.pop().model_fields.values():
            for each in spec_classes(field.annotation):
                # A component's base stands for any component of its kind.
                is_base = any(issubclass(component, each) for component in components)
                if not is_base and each.__name__ not in found:
                    found[each.__name__] = each
                    todo.append(each)
    return dict(sorted(found.items()))


def describe_spec(spec_class: type[Spec]) -> dict[str, Any]:
    """A spec that is no component, in the form of `describe`."""
    doc = inspect.cleandoc(vars(spec_class).get("__doc__") or "")  # its own, not that of its base
    return {
        "kind": "spec",
        "name": spec_class.__name__,
        "doc": doc,
        "where": spec_class.__module__,
        "examples": [],
        "fields": describe_fields(spec_class),
    }


def describe_fields(spec_class: type[Spec]) -> list[dict[str, Any]]:
    """Each field: name, type and bounds in plain words, whether it is required, default, docstring."""
    return [
        {
            "name": name,
            "type": type_words(field.annotation, field.metadata),
            "bounds": bound_words(field.metadata),
            "required": field.is_required(),
            "default": _default(field),
            "doc": field.description or "",
        }
        for name, field in spec_class.model_fields.items()
        if name != "type"
    ]


def _default(field: FieldInfo) -> Any:
    if field.is_required():
        return None
    if field.default_factory_takes_validated_data:
        return "depends on other fields"
    default = field.get_default(call_default_factory=True)
    return default.model_dump(mode="json", serialize_as_any=True) if isinstance(default, Spec) else default
