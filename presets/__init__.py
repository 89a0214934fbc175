"""Named specs as YAML files, and the reader that turns them, or a user's own, into plain data.

`read` knows files, `extends`, `scales` and overrides, not what a key means. Nothing here imports torch, so
that what is no such file is refused at once.
"""

from presets.document import (
    OVERRIDE,
    TOP_LEVEL_KEYS,
    Document,
    DocumentError,
    names,
    nested,
    read,
    read_typed,
    text_of,
)
from presets.errors import PresetError, UnknownKeyError
from presets.merging import merged
from presets.yaml12 import to_flow, to_yaml

__all__ = [
    "OVERRIDE",
    "TOP_LEVEL_KEYS",
    "Document",
    "DocumentError",
    "PresetError",
    "UnknownKeyError",
    "merged",
    "names",
    "nested",
    "read",
    "read_typed",
    "text_of",
    "to_flow",
    "to_yaml",
]
