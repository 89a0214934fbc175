"""The one law by which keys are laid over a part: those of another `type` replace it, others change it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Keys = tuple[str, ...]


def with_keys(part: Any) -> Any:
    """A component that is given by its name alone as a mapping, which takes keys; anything else as it is."""
    return {"type": part} if isinstance(part, str) else part


def replaces(changes: Mapping[str, Any], part: Mapping[str, Any]) -> bool:
    """Whether such changes make another component of a part, so that none of its keys is left."""
    return "type" in changes and changes["type"] != part.get("type")


def merged(part: Any, changes: Any, *, keys: Keys = (), replaced: set[Keys] | None = None) -> Any:
    """A part with changes laid over it, mapping by mapping; what is no mapping, or another component, replaces it.

    keys is where the part stands; replaced is given the places where the changes stand alone.
    """
    old = with_keys(part) if isinstance(changes, Mapping) else part
    if not isinstance(changes, Mapping) or not isinstance(old, Mapping) or replaces(changes, old):
        if replaced is not None:
            replaced.add(keys)
        return changes
    found = dict(old)
    for key, value in changes.items():
        found[key] = merged(old.get(key), value, keys=(*keys, key), replaced=replaced)
    return found
