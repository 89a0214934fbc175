"""The numbered examples and the notebook as pages: their own source, and on request what they print."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from texts import FOLDER, ROOT, code_url, escaped, fenced, prose, table

EXAMPLES = FOLDER.parent
NOTEBOOK = EXAMPLES / "notebook.ipynb"


def tutorial_pages(*, is_run: bool) -> Iterator[tuple[str, str]]:
    """`tutorials/index.md`, a page for each script of examples/ and one for the notebook."""
    rows = []
    for script in sorted(EXAMPLES.glob("*.py")):
        title = script.stem[3:].replace("_", " ").capitalize()
        doc = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or ""
        first, _, rest = doc.partition("\n")
        rows.append([f"[{title}]({script.stem}.md)", escaped(first)])
        parts = [f"# {title}", prose(f"{first}\n{rest}")]
        file = script.relative_to(ROOT).as_posix()
        parts.append(f"Run by a test of each change: `python {file}` ([source]({code_url(file)})).")
        parts.append(fenced(script.read_text(encoding="utf-8"), "python"))
        if is_run:
            parts.append(f"It prints:\n\n{fenced(_output(script))}")
        yield f"tutorials/{script.stem}.md", "\n\n".join(parts) + "\n"
    rows.append(["[The notebook](notebook.md)", "From a spec to a trained model, cell by cell"])
    yield "tutorials/notebook.md", _notebook()
    yield (
        "tutorials/index.md",
        f"# Tutorials\n\nOne after the other.\n\n{table(['tutorial', 'what it shows'], rows)}\n",
    )


def _output(script: Path) -> str:
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, str(script)], cwd=folder, capture_output=True, text=True, check=True
        )
    return done.stdout


def _notebook() -> str:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    texts = ["".join(cell["source"]) for cell in cells]
    shown = [
        fenced(text, "python") if cell["cell_type"] == "code" else text
        for cell, text in zip(cells, texts, strict=True)
    ]
    link = f"A notebook that a test runs: [examples/notebook.ipynb]({code_url('examples/notebook.ipynb')})."
    return "\n\n".join([shown[0], link, *shown[1:]]) + "\n"
