"""Names to components: kinds and specs, how they are read, written, extended, described. Imports no torch."""

from registry.describe import describe, describe_fields
from registry.kind import Entry, Kind
from registry.parsing import dump, parse
from registry.plugins import PluginError, load_plugin
from registry.problems import Problem, SpecError, suggest
from registry.schema import json_schema, partial, resolve
from registry.spec import Spec, check_part

__all__ = [
    "Entry",
    "Kind",
    "PluginError",
    "Problem",
    "Spec",
    "SpecError",
    "check_part",
    "describe",
    "describe_fields",
    "dump",
    "json_schema",
    "load_plugin",
    "parse",
    "partial",
    "resolve",
    "suggest",
]
