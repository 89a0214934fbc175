"""What the page is told of a text: its mistakes by line, or the model's drawing and what it costs."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import presets
from registry import SpecError
from zoo.analysis.architecture_drawing import architecture_drawing
from zoo.analysis.cost import ModelCost, cost
from zoo.analysis.diff import Change, diff
from zoo.analysis.outline import can_outline, outline
from zoo.cli.cost_text import TOTALS, short
from zoo.cli.diff_text import COLUMNS, costs
from zoo.cli.explore.completion import completions
from zoo.drawing.svg import svg
from zoo.run.memory import check_count, summary
from zoo.run.spec import RunSpec, from_document, to_yaml

TYPED = "spec.yaml"
"""What errors call the text of the page."""
_LINE = re.compile(rf"{re.escape(TYPED)}:(\d+): ")
MAX_LENGTH = 10_000_000
"""Tokens of a sequence, of which costs are told."""


class OverridesError(ValueError):
    """Overrides that cannot be taken apart into words."""


@dataclass(frozen=True)
class Start:
    """What the page begins with: a preset's name, or a file with its text."""

    name: str
    text: str
    is_preset: bool
    overrides: tuple[str, ...] = ()
    scale: str | None = None


def start_of(source: str, overrides: tuple[str, ...], scale: str | None) -> Start:
    """The text behind a SPEC. Raises: PresetError where there is none."""
    presets.read(source)
    return Start(source, presets.text_of(source), source in presets.names(), overrides, scale)


@lru_cache(maxsize=64)
def _base(text: str, scale: str | None) -> RunSpec:
    """What a text was before it was changed."""
    return from_document(presets.read_typed(text, TYPED, scale=scale), {}, scale=scale)


def answer(asked: dict[str, Any], go_on: Callable[[], None]) -> dict[str, Any]:
    """All that the page shows of a text; go_on is called between the steps, and raises where nobody waits any more."""
    text, scale = str(asked["text"]), asked.get("scale") or None
    length, batch = (
        _number(asked.get(name), most) for name, most in (("length", MAX_LENGTH), ("batch", 65536))
    )
    try:
        run, scales = _read(text, str(asked.get("overrides") or ""), scale)
    except (SpecError, presets.PresetError, OverridesError) as error:
        return {"problems": _problems(error), "scales": _scales(text)}
    go_on()
    found: dict[str, Any] = {"problems": [], "scales": scales, "title": run.model.type}
    found["yaml"] = to_yaml(run)
    try:
        base: RunSpec | None = _base(str(asked.get("base") or text), scale)
    except (SpecError, presets.PresetError):
        base = None
    go_on()
    compared = None if base is None else diff(base, run, length=length, batch=batch)
    counted = cost(run, length=length, batch=batch) if compared is None else compared.after
    go_on()
    found["figures"] = [
        {"name": name, "value": tell(counted), "before": None if compared is None else tell(compared.before)}
        for name, tell in TOTALS
    ]
    found["memory"] = summary(run)
    found["table"] = [_row(part, counted) for part in counted.parts if part.mixing is not None]
    found["diff"] = [_change(each, compared.before) for each in compared.changes] if compared else []
    found["costs"] = [title for title, _, _ in COLUMNS]
    if can_outline(run.model):
        other = base.model if base is not None and compared else None
        found["svg"] = svg(architecture_drawing([outline(run.model, str(asked.get("name") or TYPED), other=other)]),
                           is_to_scale=True)  # fmt: skip
    return found


def complete(asked: dict[str, Any]) -> dict[str, Any]:
    """What may stand at the cursor: see `completions`."""
    text, at = str(asked["text"]), max(0, int(asked["at"]))
    data: Any = None
    for each in (text, *_mended(text, at), str(asked.get("last") or "")):
        try:
            data = presets.read_typed(each, TYPED).data
            break
        except presets.DocumentError as error:
            data = error.document.data
            break
        except presets.PresetError:
            continue
    return completions(text, at, data)


def _mended(text: str, at: int) -> Iterator[str]:
    """The text with the cursor's line ended before the word that is being written, its braces closed; then without the
    line."""
    lines = text.split("\n")
    here = text[:at].count("\n")
    before = re.sub(r"[\s,]*(?:\w+:\s*)?[\w./]*$", "", text[:at].rpartition("\n")[2])
    closed = before + "}" * (before.count("{") - before.count("}"))
    for line in (closed, ""):
        yield "\n".join([*lines[:here], line, *lines[here + 1 :]])


def _read(text: str, overrides: str, scale: str | None) -> tuple[RunSpec, list[str]]:
    try:
        words = shlex.split(overrides)
    except ValueError as error:
        raise OverridesError(f"overrides: {error}") from None
    mistakes: list[presets.PresetError] = []
    try:
        document = presets.read_typed(text, TYPED, overrides=words, scale=scale)
    except presets.DocumentError as error:
        document, mistakes = error.document, error.mistakes
    run = from_document(document, {}, scale=scale, mistakes=mistakes)
    check_count(run, where=TYPED)
    return run, document.scales


def _scales(text: str) -> list[str]:
    try:
        return presets.read_typed(text, TYPED).scales
    except presets.PresetError:
        return []


def _problems(error: Exception) -> list[dict[str, Any]]:
    """One for each line of a message, with the number of the text's line that it names."""
    found = []
    for message in str(error).split("\n"):
        line = _LINE.match(message)
        found.append(
            {"line": int(line[1]) if line else None, "message": message[line.end() :] if line else message}
        )
    return sorted(found, key=lambda each: (each["line"] is None, each["line"]))


def _number(given: Any, most: int) -> int:
    return given if type(given) is int and 1 <= given <= most else min(512, most) if most == MAX_LENGTH else 1


def _row(part: Any, counted: ModelCost) -> list[str]:
    """A row of Table 1: a layer of that form."""
    order = part.mixing.order
    return [
        part.path.removeprefix("model."),
        part.type,
        f"O({order.complexity})",
        short(part.forward / max(part.n_times, 1)),
        f"O({order.sequential})",
        f"{part.mixing.n_sequential:,}",
        f"O({order.path})",
        "none" if part.mixing.path is None else f"{part.mixing.path:,}",
    ]


def _change(change: Change, before: ModelCost) -> dict[str, Any]:
    """A key's way, values, and what it costs alone."""
    was, now = change.difference.before, change.difference.after
    return {"path": change.path, "before": _said(was), "after": _said(now), "costs": costs(before, change)}


def _said(value: Any) -> str:
    if value is None:
        return "none"
    text = presets.to_flow(value) if isinstance(value, dict | list) else str(value)
    return text if len(text) <= 160 else f"{text[:157]}..."
