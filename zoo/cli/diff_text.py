"""Where two specs differ, as a tree of keys with what each change costs."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from zoo.amounts import aligned, amount
from zoo.analysis.cost import ModelCost
from zoo.analysis.diff import Change, Diff, added
from zoo.cli.cost_text import WIDTH, path_text, short, sizes_text

COLUMNS = (
    ("params", "n_parameters", ""),
    ("forward", "forward_per_token", ""),
    ("kept", "activation_bytes", "B"),
    ("cache", "cache_bytes_per_token", "B"),
    ("seq.", "n_sequential", ""),
    ("path", "path", ""),
)
_LONGEST = 50
"""Letters of a value beyond which it is cut."""


def diff_text(a: str, b: str, diff: Diff) -> str:
    """What changes from a to b, and what that costs: each change alone, and all of them together."""
    if not diff:
        return f"{a} and {b} are the same"
    names = [f"{a} → {b}: {sizes_text(diff.before)}"]
    legend = (
        "each change made to the first alone; forward: FLOPs a token (training: about three times as many)"
    )
    rows = [["", *(title for title, _, _ in COLUMNS)]]
    rows += [[text, *costs(diff.before, change)] for text, change in _tree(diff.changes)]
    rows.append([""] * len(rows[0]))
    rows.append(["all together", *_deltas(diff.before, diff.after)])
    rows.append([_clip(a), *_totals(diff.before)])
    rows.append([_clip(b), *_totals(diff.after)])
    if any(change.joined for change in diff.changes):
        legend += '\n": only together with the change above it'
    notes = [
        f"{change.path} cannot be changed alone: {change.why_not}"
        for change in diff.changes
        if change.why_not
    ]
    lines = [line for note in notes for line in textwrap.wrap(note, WIDTH, subsequent_indent="  ")]
    return "\n".join([*names, legend, *aligned(rows, n_left=1), *lines])


def _tree(changes: Sequence[Change]) -> Iterator[tuple[str, Change | None]]:
    """The lines of a tree: a branch where several changes have a way in common, then each of them."""
    yield from _branch([(change.path.split("."), change) for change in changes], 0)


def _branch(changes: list[tuple[list[str], Change]], depth: int) -> Iterator[tuple[str, Change | None]]:
    indent = "  " * depth
    while changes:
        first = changes[0][0]
        together = [each for each in changes if each[0][:1] == first[:1]]
        changes = [each for each in changes if each[0][:1] != first[:1]]
        if len(together) == 1:
            yield from _leaf(indent, ".".join(first), together[0][1])
            continue
        n = _n_shared([keys for keys, _ in together])
        yield f"{indent}{'.'.join(first[:n])}", None
        yield from _branch([(keys[n:], change) for keys, change in together], depth + 1)


def _n_shared(paths: list[list[str]]) -> int:
    """How many keys all of them begin with; one is left to each."""
    n = 0
    while all(len(path) > n + 1 and path[n] == paths[0][n] for path in paths):
        n += 1
    return max(n, 1)


def _leaf(indent: str, name: str, change: Change) -> Iterator[tuple[str, Change | None]]:
    before, after = change.difference.before, change.difference.after
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        yield f"{indent}{name}: {before.get('type', 'a part')} → {after.get('type', 'another')}", change
        yield from ((f"{indent}    {line}", None) for line in _new_keys(before, after))
    else:
        yield f"{indent}{name}: {_value(before)} → {_value(after)}", change
        if isinstance(after, Mapping):
            yield from ((f"{indent}    {line}", None) for line in _new_keys({}, after))


def _new_keys(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What the new part says otherwise than the old one, or says alone, where it says anything."""
    told = [
        f"{key} {_value(value)}"
        for key, value in after.items()
        if key != "type" and value is not None and before.get(key) != value
    ]
    return textwrap.wrap(", ".join(told), _LONGEST) if told else []


def _value(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, Mapping):
        return str(value.get("type", "given"))
    if isinstance(value, list) and value and all(isinstance(each, Mapping) for each in value):
        return amount(len(value), "group") if "repeat" in value[0] else amount(len(value), "part")
    return _clip(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _clip(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def costs(before: ModelCost, change: Change | None) -> list[str]:
    """What a change costs alone, in each of the columns; nothing for a line that is none."""
    if change is None:
        return [""] * len(COLUMNS)
    if change.alone is None and not change.why_not:
        return ['"' if change.joined else ""] * len(COLUMNS)
    return ["-"] * len(COLUMNS) if change.alone is None else _deltas(before, change.alone)


def _deltas(before: ModelCost, after: ModelCost) -> list[str]:
    deltas = added(before, after)
    found = []
    for _, name, unit in COLUMNS:
        delta = deltas[name]
        sign = "+" if delta and delta > 0 else ""
        found.append("?" if delta is None else f"{sign}{short(delta, unit)}" if delta else "0")
    if deltas["path"] is None:  # there is a way in neither, or in one of them alone
        found[-1] = "0" if before.path == after.path and before.meets == after.meets else path_text(after)
    return found


def _totals(cost: ModelCost) -> list[str]:
    return [
        path_text(cost) if name == "path" else short(getattr(cost, name), unit) for _, name, unit in COLUMNS
    ]
