"""A page for every registered part, an index for each kind, and the laws: from what `zoo explain` tells."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from part_pictures import picture
from texts import ROOT, code_url, escaped, fenced, prose, table

import presets
from registry import Kind, SpecError, kinds
from zoo.conformance.choosing import parts_named
from zoo.conformance.laws import LAWS, laws
from zoo.run.explaining import explain

Pages = Iterator[tuple[str, str]]
"""Paths under docs/, and what the pages there say."""


def part_pages(docs: Path) -> Pages:
    """`parts/index.md`, `parts/KIND/index.md` and `parts/KIND/NAME.md`; the drawings are written beside them."""
    rows = [
        [f"[{kind.name}]({kind.name}/index.md)", escaped(kind.contract), str(len(kind.names()))]
        for kind in kinds()
    ]
    said = "Whatever a spec names by `type` is a part of one of these kinds; `zoo new KIND NAME` begins a new one."
    yield "parts/index.md", f"# Parts\n\n{said}\n\n{table(['kind', 'contract', 'parts'], rows)}\n"
    for kind in kinds():
        rows = [[f"[{name}]({name}.md)", escaped(kind.entry(name).summary)] for name in kind.names()]
        text = f"# Parts of kind {kind.name}\n\n{escaped(kind.contract)}\n\n{table(['part', 'what it is'], rows)}\n"
        yield f"parts/{kind.name}/index.md", text
        for name in kind.names():
            yield f"parts/{kind.name}/{name}.md", _part_page(kind, name, docs)


def users() -> dict[str, list[str]]:
    """The presets that say they have a part, by KIND/NAME."""
    return {
        f"{kind.name}/{name}": explain(f"{kind.name}/{name}")["used_by"]
        for kind in kinds()
        for name in kind.names()
    }


def law_page() -> str:
    """Every law, by kind: what `zoo conform` tries."""
    text = "# Laws\n\nWhat every part of a kind must do; `zoo conform KIND/NAME` tries each, and so do the tests.\n"
    for kind, found in LAWS.items():
        text += f"\n## {kind}\n"
        for law in found:
            slow = " Tried by `--slow`." if law.is_slow else ""
            text += f"\n### {_title(law.name)} {{ #{kind}-{law.name} }}\n\n"
            text += f"{prose(inspect.getdoc(law.check) or '')}{slow}\n"
    return text


def _part_page(kind: Kind, name: str, docs: Path) -> str:
    page = explain(f"{kind.name}/{name}")
    about = page["about"]
    parts = [
        f"# {escaped(name)}",
        f"A part of kind [{kind.name}](index.md), defined in {_source(about['where'])}.",
        prose(about["doc"]),
        *([shown] if (shown := picture(kind, name, docs / "parts" / kind.name)) else []),
        f"## Keys\n\n{_keys(about['fields'])}",
        *([f"## Examples\n\n{_examples(name, about['examples'])}"] if about["examples"] else []),
        f"## Presets that have it\n\n{_presets(page['used_by'])}",
        *([f"## Laws\n\n{said}"] if (said := _laws(kind.name, name)) else []),
    ]
    return "\n\n".join(parts) + "\n"


def _source(where: str) -> str:
    file, _, line = where.rpartition(":")
    path = Path(file)
    if not path.is_relative_to(ROOT):
        return f"`{path.name}`"
    inside = path.relative_to(ROOT).as_posix()
    return f"[{inside}]({code_url(inside, int(line))})"


def _keys(fields: list[Mapping[str, Any]]) -> str:
    if not fields:
        return "None."
    rows = [
        [
            f"`{field['name']}`",
            escaped(", ".join([field["type"], *field["bounds"]])),
            "required" if field["required"] else _code(json.dumps(field["default"], default=str)),
            escaped(field["doc"]),
        ]
        for field in fields
    ]
    return table(["key", "takes", "default", "meaning"], rows)


def _code(text: str) -> str:
    return f"`{text}`" if "|" not in text else escaped(text)


def _examples(name: str, examples: list[dict[str, Any]]) -> str:
    return fenced("\n".join(presets.to_flow({"type": name, **example}) for example in examples), "yaml")


def _presets(names: list[str]) -> str:
    return ", ".join(f"[{name}](../../presets/{name}.md)" for name in names) or "None by name."


def _laws(kind: str, name: str) -> str:
    if kind not in LAWS:
        return ""
    try:
        parts, _ = parts_named(f"{kind}/{name}")
    except SpecError:  # neither examples nor defaults that can be tried
        return ""
    apply = {law.name for part in parts.values() for law in laws(part)}
    lines = [
        f"- [{_title(law.name)}](../../laws.md#{kind}-{law.name})" for law in LAWS[kind] if law.name in apply
    ]
    return f"`zoo conform {kind}/{name}` tries those that say something of it:\n\n" + "\n".join(lines)


def _title(name: str) -> str:
    return escaped(name.replace("_", " "))
