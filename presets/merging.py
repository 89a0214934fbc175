"""The one law by which keys are laid over a part: those of another `type` replace it, others change it.

Where a part has one slot that several keys may fill, each of them takes it from the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Keys = tuple[str, ...]

ONE_SLOT = (("self_attention", "mixer"),)
"""Keys of which a part has one: what is given replaces what was inherited under another of them."""


def with_keys(part: Any) -> Any:
    """A component that is given by its name alone as a mapping, which takes keys; anything else as it is."""
    return {"type": part} if isinstance(part, str) else part


def replaces(changes: Mapping[str, Any], part: Mapping[str, Any]) -> bool:
    """Whether such changes make another component of a part, so that none of its keys is left."""
    return "type" in changes and changes["type"] != part.get("type")


def displaced(changes: Mapping[str, Any]) -> set[str]:
    """The keys whose slot such changes take: those of one slot with a key that is given, and not given themselves."""
    return {
        other
        for slot in ONE_SLOT
        if any(changes.get(key) is not None for key in slot)
        for other in slot
        if changes.get(other) is None
    }


def merged(part: Any, changes: Any, *, keys: Keys = (), replaced: set[Keys] | None = None) -> Any:
    """A part with changes laid over it, mapping by mapping; what is no mapping, or another component, replaces it.

    keys is where the part stands; replaced is given the places where the changes stand alone.
    """
    old = with_keys(part) if isinstance(changes, Mapping) else part
    if not isinstance(changes, Mapping) or not isinstance(old, Mapping) or replaces(changes, old):
        if replaced is not None:
            replaced.add(keys)
        return changes
    gone = displaced(changes) & old.keys()
    if replaced is not None:
        replaced.update((*keys, key) for key in gone)
    found = {key: value for key, value in old.items() if key not in gone}
    for key, value in changes.items():
        found[key] = merged(old.get(key), value, keys=(*keys, key), replaced=replaced)
    return found
