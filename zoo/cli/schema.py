"""The JSON Schema of a spec's file: that of a run's spec, and of what the reader of presets makes one from."""

from __future__ import annotations

from typing import Any

import presets
from registry import json_schema, partial, resolve
from registry.schema import PARTIAL
from zoo.run.spec import RunSpec

Schema = dict[str, Any]

_IS_LIKE: Schema = {"type": "object", "required": ["like"], "properties": {"like": {"pattern": r"\."}}}

_KEYS = "|".join(key for key in presets.TOP_LEVEL_KEYS if key not in ("scales", "extends"))
_SCALES: Schema = {
    "description": "The same architecture in other sizes, by name: dotted paths and their values.",
    "type": "object",
    "additionalProperties": {
        "type": "object",
        "patternProperties": {
            f"^({_KEYS})$": {"not": {"type": "object"}},
            rf"^({_KEYS})(\.[^.]+)+$": {},
        },
        "additionalProperties": False,
    },
}


def file_schema() -> Schema:
    """What a file may hold: a run's spec, or with `extends` parts of one, and in either `{like: PRESET.path, ...}`."""
    run = json_schema(RunSpec)
    definitions = {**run.pop("$defs"), "RunSpec": run}
    specs = [name for name in definitions if not name.endswith(PARTIAL)]
    parts = [partial({"$ref": f"#/$defs/{name}"}) for name in specs]
    definitions = resolve({"$defs": definitions, "anyOf": parts})["$defs"]
    whole, part = (_in_a_file(definitions.pop(name)) for name in ("RunSpec", f"RunSpec{PARTIAL}"))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **part,
        "properties": {**part["properties"], "scales": _SCALES, "extends": _extends()},
        "if": {"not": {"required": ["extends"]}},
        "then": {"required": whole["required"], "properties": whole["properties"]},
        "$defs": {name: _definition(name, schema) for name, schema in definitions.items()},
    }


def _extends() -> Schema:
    return {
        "description": "A preset's name or a .yaml file, over which this one is laid.",
        "anyOf": [{"enum": presets.names()}, {"type": "string", "pattern": r"\.ya?ml$"}],
    }


def _like() -> Schema:
    return {
        "description": "What stands at a path of a preset, such as bert_base.model.encoder; further keys change it.",
        "type": "string",
        "pattern": rf"^({'|'.join(presets.names())})\..",
    }


def _definition(name: str, schema: Schema) -> Schema:
    """A spec's mapping, or `{like: PRESET.path}` with some of its keys; of a partial one, `like` is one of the keys."""
    found = _in_a_file(schema)
    if "properties" not in found:  # a name for a type that is no spec
        return found
    if name.endswith(PARTIAL):
        return {**found, "properties": {**found["properties"], "like": _like()}}
    return {"if": _IS_LIKE, "then": {"$ref": f"#/$defs/{name}{PARTIAL}"}, "else": found}


def _in_a_file(schema: Any) -> Any:
    """A schema in which a component may be `{like: PRESET.path}` too, whose type is not known here."""
    if isinstance(schema, list):
        return [_in_a_file(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _in_a_file(value) for key, value in schema.items() if key != "oneOf"}
    options = [_in_a_file(option) for option in schema.get("oneOf", ())]
    parts = [{"$ref": option["$ref"] + PARTIAL} for option in options if "$ref" in option]
    if parts:
        return {**found, "if": _IS_LIKE, "then": {"anyOf": parts}, "else": {"oneOf": options}}
    return {**found, "oneOf": options} if options else found
