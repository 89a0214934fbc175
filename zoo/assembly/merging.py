"""Layers as read from a file, before they are specs: what several have in common is said once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from registry import Spec, dump


def merged(base: Any, changes: Any) -> Any:
    """`base` with `changes` on top, mapping by mapping; a changed `type` replaces the whole mapping."""
    if isinstance(base, Spec):
        base = dump(base)
    if not isinstance(changes, Mapping):
        return changes
    if isinstance(base, str) and "type" not in changes:
        return {"type": base, **changes}
    if not isinstance(base, Mapping) or ("type" in changes and changes["type"] != base.get("type")):
        return changes
    return {**base, **{key: merged(base.get(key), value) for key, value in changes.items()}}


def with_layers(stack: Mapping[str, Any], change: Callable[[Mapping[str, Any]], Any]) -> dict[str, Any]:
    """A stack as read from a file, with each layer in it changed; what is no layer is left for its validation."""

    def changed(part: Any) -> Any:
        if not isinstance(part, Mapping):
            return part
        found = dict(part)
        if isinstance(part.get("layer"), Mapping):
            found["layer"] = change(part["layer"])
        if isinstance(part.get("cycle"), list | tuple):
            found["cycle"] = [
                change(layer) if isinstance(layer, Mapping) else layer for layer in part["cycle"]
            ]
        return found

    copy = changed(stack)
    if isinstance(copy.get("layers"), list | tuple):
        copy["layers"] = [changed(group) for group in copy["layers"]]
    return copy
