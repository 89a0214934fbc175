"""A page for every preset: where it comes from, the picture, what it costs, its file, and the parts it names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from texts import code_url, escaped, fenced, prose, table
from typer.testing import CliRunner

import presets
from zoo.analysis.outline import can_outline
from zoo.analysis.size import n_parameters
from zoo.cli.main import app
from zoo.cli.text import first_sentence
from zoo.run.spec import load


def printed(*arguments: str) -> str:
    """What `zoo ARGUMENTS` prints. Raises: RuntimeError with what it printed where its exit code is not 0."""
    result = CliRunner().invoke(app, list(arguments))
    if result.exit_code:
        raise RuntimeError(f"zoo {' '.join(arguments)} ends with {result.exit_code}: {result.output}")
    return result.stdout


def preset_pages(docs: Path, users: Mapping[str, list[str]]) -> Iterator[tuple[str, str]]:
    """`presets/index.md` and `presets/NAME.md`; the drawings are written beside them."""
    rows = []
    for name in presets.names():
        document, model = presets.read(name), load(name).model
        count = n_parameters(model)
        rows.append([f"[{name}]({name}.md)", f"{count:,}", escaped(first_sentence(document.description))])
        file = f"presets/{name}.yaml"
        up = "../" * name.count("/")
        parts = [f"# {escaped(name)}", prose(document.description)]
        parts.append(f"{count:,} parameters, [{file}]({code_url(file)}).")
        if can_outline(model):
            picture = docs / f"presets/{name}.svg"
            picture.parent.mkdir(parents=True, exist_ok=True)
            printed("draw", name, "-o", str(picture))
            parts.append(f"![Architecture of {name}]({picture.name})")
        parts.append(f"## Cost\n\n{fenced(f'$ zoo cost {name}' + chr(10) + printed('cost', name))}")
        parts.append(f"## File\n\n{fenced(presets.text_of(name), 'yaml')}")
        used = [part for part, names in users.items() if name in names]
        links = ", ".join(f"[{part}]({up}../parts/{part}.md)" for part in used)
        parts.append(f"## Parts that it names\n\n{links or 'None.'}\n\n`zoo show {name}` prints every key.")
        yield f"presets/{name}.md", "\n\n".join(parts) + "\n"
    said = "Any of them is trained by `zoo train NAME`, changed by `KEY=VALUE`, and shown whole by `zoo show NAME`."
    yield (
        "presets/index.md",
        f"# Presets\n\n{said}\n\n{table(['preset', 'parameters', 'what it is'], rows)}\n",
    )
