"""What a variant has other than the base, as a tree of its spec's keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from registry import Difference
from registry.problems import show
from zoo.drawing.svg import escape

Tree = dict[str, Any]
"""By key what is below it, or the Difference that stands there; a chain of single keys is one, joined by dots."""


def tree(changes: Sequence[Difference]) -> Tree:
    """The differences by their keys."""
    root: Tree = {}
    for each in changes:
        node = root
        *above, last = each.path.split(".")
        for key in above:
            node = node.setdefault(key, {})
        node[last] = each
    return _joined(root)


def _joined(node: Tree) -> Tree:
    found: Tree = {}
    for key, below in node.items():
        if isinstance(below, dict):
            below = _joined(below)
            if len(below) == 1:
                (rest, only), *_ = below.items()
                found[f"{key}.{rest}"] = only
                continue
        found[key] = below
    return found


def tree_html(changes: Sequence[Difference]) -> str:
    """The tree as nested lists: what was there struck through, what is there now behind it."""
    return _list(tree(changes))


def _list(node: Tree) -> str:
    items = []
    for key, below in node.items():
        name = f"<code>{escape(key)}</code>"
        if isinstance(below, Difference):
            items.append(f"<li>{name} {_value(below.before, 'del')} → {_value(below.after, 'ins')}</li>")
        else:
            items.append(f"<li>{name}{_list(below)}</li>")
    return f'<ul class="tree">{"".join(items)}</ul>'


def _value(value: Any, mark: str) -> str:
    """A value; of a part its type, and its keys to be unfolded."""
    if not isinstance(value, Mapping):
        return f"<{mark}>{escape(value_text(value))}</{mark}>"
    keys = {key: each for key, each in value.items() if key != "type"}
    name = f"<{mark}>{escape(str(value.get('type', 'part')))}</{mark}>"
    if not keys:
        return name
    lines = "".join(
        f"<li><code>{escape(key)}</code> {escape(value_text(each))}</li>" for key, each in keys.items()
    )
    return f'<details class="part"><summary>{name}</summary><ul>{lines}</ul></details>'


def value_text(value: Any) -> str:
    """A value on one line."""
    if value is None:
        return "none"
    if isinstance(value, Mapping):
        inner = ", ".join(f"{key}: {value_text(each)}" for key, each in value.items())
        return f"{{{inner}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(value_text, value))}]"
    return value if isinstance(value, str) else show(value)
