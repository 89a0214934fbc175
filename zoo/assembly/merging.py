"""Layers as read from a file, before they are specs: what several have in common is said once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import presets
from registry import Spec, dump


def merged(base: Any, changes: Any) -> Any:
    """`base`, in which parts may be specs already, with `changes` on top: see presets.merging."""
    return presets.merged(_plain(base), changes)


def _plain(value: Any) -> Any:
    if isinstance(value, Spec):
        return dump(value)
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    return value


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
