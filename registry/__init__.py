"""Names to components: kinds and specs, how they are read, written, extended, described. Imports no torch."""

from registry.describe import describe, describe_fields, describe_spec, inner_specs
from registry.differences import Difference, differences, with_differences
from registry.keys import dotted_keys, field_kind, flat, page_of, spec_of_key, specs_at, suggest_key, value_at
from registry.kind import Entry, Kind, kinds, made_kinds
from registry.parsing import dump, parse
from registry.plugins import Package, Plugin, PluginError, load_plugin, loaded_packages, loaded_plugins
from registry.problems import Problem, SpecError, clip, suggest
from registry.schema import json_schema, partial, resolve
from registry.spec import Spec, Within
from registry.walk import Place, check, inner, walk

__all__ = [
    "Difference",
    "Entry",
    "Kind",
    "Package",
    "Place",
    "Plugin",
    "PluginError",
    "Problem",
    "Spec",
    "SpecError",
    "Within",
    "check",
    "clip",
    "describe",
    "describe_fields",
    "describe_spec",
    "differences",
    "dotted_keys",
    "dump",
    "field_kind",
    "flat",
    "inner",
    "inner_specs",
    "json_schema",
    "kinds",
    "load_plugin",
    "loaded_packages",
    "loaded_plugins",
    "made_kinds",
    "page_of",
    "parse",
    "partial",
    "resolve",
    "spec_of_key",
    "specs_at",
    "suggest",
    "suggest_key",
    "value_at",
    "walk",
    "with_differences",
]
