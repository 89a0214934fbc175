"""The command explain: what any word of this program means."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from zoo.cli import completing
from zoo.cli.arguments import AsJson, Plugins, load_plugins
from zoo.cli.text import component_text, print_json

_MOST_PRESETS = 6
_MOST_PATHS = 4


def explain(
    word: Annotated[
        str,
        typer.Argument(
            metavar="WORD",
            show_default=False,
            help="A key (n_heads, training.max_steps), a part (attention/restricted), a kind, a law, a preset, or what "
            "another library calls one (hidden_size).",
        ),
    ],
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="[SPEC]",
            show_default=False,
            autocompletion=completing.words,
            help="Tell its value there, too.",
        ),
    ] = None,
    plugin: Plugins = None,
    as_json: AsJson = False,
) -> None:
    """Explain any word: what a key takes and which presets set it to what, what a part is, what a law demands."""
    load_plugins(plugin)
    import zoo.kinds  # noqa: F401  which lists ours
    from zoo.run.explaining import explain as page_of

    page = page_of(word, source)
    print_json(page) if as_json else print(_text(page))


def _text(page: Mapping[str, Any]) -> str:
    said = []
    if "called" in page:
        name = page.get("written", page["word"])
        note = f" ({page['note']})" if page.get("note") else ""
        further = f", or {' or '.join(page['further'])}" if page.get("further") else ""
        said.append(f"{page['called']} is here called {name}{further}{note}.\n")
    return "\n".join([*said, *_LINES[page["what"]](page)])


def _key_lines(page: Mapping[str, Any]) -> Iterator[str]:
    for meaning in page["meanings"]:
        takes = ", ".join([meaning["type"], *meaning["bounds"]])
        default = (
            "none: it must be given" if meaning["required"] else json.dumps(meaning["default"], default=str)
        )
        yield f"{page['word']}, a key of {', '.join(meaning['of'])}"
        yield f"    {' '.join(meaning['doc'].split())}"
        yield f"  takes    {takes}"
        yield f"  default  {default}"
        if len(meaning["of"]) == 1:
            yield from (f"  source   {each}" for each in meaning["sources"])
        yield f"  written  {', '.join(meaning['where'])}"
        yield ""
    if page.get("paths"):
        more = f", and {len(page['paths']) - _MOST_PATHS} more" if len(page["paths"]) > _MOST_PATHS else ""
        yield f"It stands at {', '.join(page['paths'][:_MOST_PATHS])}{more}."
    if "in" in page:
        for path, value in page["in"]["values"].items():
            where = f" ({page['in']['where']})" if page["in"].get("where") else ""
            yield f"In {page['in']['spec']} {path} is {json.dumps(value, ensure_ascii=False)}{where}."
    if page.get("elsewhere"):
        yield f"Other parts call it {' or '.join(page['elsewhere'])}."
    if page["presets"]:
        yield "Presets set it to"
        width = min(max(map(len, page["presets"])), 24)
        for value, names in page["presets"].items():
            yield f"  {value.ljust(width)}  {_some(names)}"
    else:
        yield "No preset sets it."


def _some(names: list[str]) -> str:
    more = f", and {len(names) - _MOST_PRESETS} more" if len(names) > _MOST_PRESETS else ""
    return ", ".join(names[:_MOST_PRESETS]) + more


def _part_lines(page: Mapping[str, Any]) -> Iterator[str]:
    yield component_text(page["about"])
    yield ""
    yield f"Presets that have it: {_some(page['used_by']) or 'none'}"


def _parts_lines(page: Mapping[str, Any]) -> Iterator[str]:
    yield f"{page['word']} is the name of {len(page['parts'])} parts: " + ", ".join(
        f"{each['word']}" for each in page["parts"]
    )
    for each in page["parts"]:
        yield ""
        yield from _part_lines(each)


def _kind_lines(page: Mapping[str, Any]) -> Iterator[str]:
    yield f"{page['word']}: a kind of part"
    yield f"    {page['contract']}"
    yield ""
    width = max(map(len, page["parts"]))
    for name, summary in page["parts"].items():
        yield f"  {name.ljust(width)}  {summary}"
    yield ""
    yield "Presets have"
    for name, users in page["presets"].items():
        yield f"  {name.ljust(width)}  {_some(users)}"


def _law_lines(page: Mapping[str, Any]) -> Iterator[str]:
    slow = ", by --slow" if page["slow"] else ""
    yield f"{page['word']}: a law that `zoo conform` tries on parts of kind {', '.join(page['kinds'])}{slow}"
    yield ""
    yield page["doc"]


def _preset_lines(page: Mapping[str, Any]) -> Iterator[str]:
    yield f"{page['word']}: a preset{', at the scales ' + ', '.join(page['scales']) if page['scales'] else ''}"
    yield ""
    yield page["doc"]
    yield ""
    yield f"zoo show {page['word']} prints all of it."


_LINES = {
    "key": _key_lines,
    "part": _part_lines,
    "parts": _parts_lines,
    "spec": lambda page: iter([component_text(page["about"])]),
    "kind": _kind_lines,
    "law": _law_lines,
    "preset": _preset_lines,
}
