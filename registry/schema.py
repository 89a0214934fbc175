"""JSON Schemas of specs, for editors, with places where a mapping may be partial.

Where one mapping is laid over another, as with a base or with what layers have in common, it says only what differs.
`partial` marks such a place, in a spec's `__get_pydantic_json_schema__`; `resolve` then makes of each marked schema one
that accepts the same keys and requires none. A list is never laid over another, so what stands in one is whole.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import TypeAdapter

from registry.kind import Kind
from registry.spec import Spec

Schema = dict[str, Any]

PARTIAL = ".partial"
"""Ends the name of a definition that `partial` asked for."""

_MARK = "$partial"
_REFERENCE = "#/$defs/"
_CONDITIONS = ("required", "if", "then", "else", "allOf", "anyOf", "oneOf", "not")


def json_schema(of: Kind | type[Spec]) -> Schema:
    """The JSON Schema of a spec, or of any component of a kind."""
    if isinstance(of, Kind):
        return resolve(TypeAdapter(Annotated[Spec, of]).json_schema())
    return resolve(of.model_json_schema())


def partial(schema: Schema, **further: Schema) -> Schema:
    """Stands for the schema of a mapping with some of the keys of a spec; `further` keys may be there as well."""
    return {_MARK: schema, "properties": further} if further else {_MARK: schema}


def resolve(schema: Schema) -> Schema:
    """The whole schema with everything marked by `partial` replaced by what it stands for."""
    definitions = _Definitions(schema.get("$defs", {}))
    found = definitions.resolved({key: value for key, value in schema.items() if key != "$defs"})
    return {"$defs": definitions.resolve(), **found} if "$defs" in schema else found


class _Definitions:
    def __init__(self, given: dict[str, Schema]) -> None:
        self._given = given
        self._partial: dict[str, Schema] = {}

    def resolve(self) -> dict[str, Schema]:
        """All definitions, those of partial mappings among them."""
        whole = {name: self.resolved(schema) for name, schema in self._given.items()}
        return {**whole, **self._partial}

    def resolved(self, schema: Any) -> Any:
        """The schema without marks."""
        if isinstance(schema, list):
            return [self.resolved(item) for item in schema]
        if not isinstance(schema, dict):
            return schema
        if _MARK not in schema:
            found = {key: self.resolved(value) for key, value in schema.items()}
            return self._with_default_type(found) if "oneOf" in found and "default" in found else found
        rest = {key: self.resolved(value) for key, value in schema.items() if key != _MARK}
        further = rest.pop("properties", None)
        if further is None:
            return {**self._without_conditions(schema[_MARK]), **rest}
        # Keys can only be added to the object itself: through a reference they would be unknown there.
        found = self._without_conditions(self._given[schema[_MARK]["$ref"].removeprefix(_REFERENCE)])
        return {**found, "properties": {**found["properties"], **further}, **rest}

    def _with_default_type(self, schema: Schema) -> Schema:
        """A component's schema in which a mapping without type is one of the default's."""
        default = schema["default"]
        name = default.get("type") if isinstance(default, dict) else default
        options = list(schema["oneOf"])
        for i, option in enumerate(options):
            if name is not None and self._type(option) == name:
                options[i] = {"$ref": option["$ref"], "minProperties": 1}
        return {**schema, "oneOf": options}

    def _type(self, option: Schema) -> str | None:
        spec = self._given.get(option.get("$ref", "").removeprefix(_REFERENCE), {})
        found: str | None = spec.get("properties", {}).get("type", {}).get("const")
        return found

    def _without_conditions(self, schema: Schema) -> Schema:
        """A schema that accepts any part of what the given one accepts, mapping by mapping."""
        if "$ref" in schema:
            name = schema["$ref"].removeprefix(_REFERENCE)
            if not name.endswith(PARTIAL):
                self._define(name)
                name += PARTIAL
            return {
                **{key: value for key, value in schema.items() if key != "required"},
                "$ref": _REFERENCE + name,
            }
        if "properties" in schema and _MARK not in schema:
            rest = {key: value for key, value in schema.items() if key not in _CONDITIONS}
            fields = schema["properties"].items()
            return {**rest, "properties": {name: self._without_conditions(field) for name, field in fields}}
        options = schema.get("oneOf") or schema.get("anyOf")
        if options is None:
            return self.resolved(schema)
        # Without its type a component may be several.
        rest = {key: value for key, value in schema.items() if key != "oneOf"}
        return {**rest, "anyOf": [self._without_conditions(option) for option in options]}

    def _define(self, name: str) -> None:
        if name + PARTIAL not in self._partial:
            self._partial[name + PARTIAL] = {}  # a component may hold some of its own kind
            self._partial[name + PARTIAL] = self._without_conditions(self._given[name])
