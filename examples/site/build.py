"""The site: pages written from the parts, the presets and the files of this repository, then built by mkdocs.

python examples/site/build.py OUT [--pages] [--run]

OUT/docs and OUT/mkdocs.yml are written, and OUT/site built by `mkdocs build --strict`, which fails at a link that
leads nowhere; it needs `pip install 'architecture-zoo[docs]'`. --pages leaves mkdocs out. --run runs the tutorials,
minutes of training among them, and shows what they print.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from certificates import NoRecordError
from family_pages import family_page
from part_pages import law_page, part_pages, users
from preset_pages import preset_pages, printed
from texts import FOLDER, ROOT, BrokenLinkError, fenced, section, with_code_links
from tutorial_pages import tutorial_pages


def main(words: list[str]) -> int:
    """Writes the pages, builds them, and gives the exit code."""
    options = {"--pages", "--run"}
    places = [word for word in words if word not in options]
    if len(places) != 1 or places[0].startswith("-"):
        print(f"give one folder to write, with or without {' and '.join(sorted(options))}", file=sys.stderr)
        return 2
    out = Path(places[0])
    if any(out.iterdir() if out.is_dir() else ()) and not (out / "mkdocs.yml").is_file():
        print(f"{out}: has files and none of them is mkdocs.yml; give a folder that is new", file=sys.stderr)
        return 5
    try:
        n_pages = write_pages(out, is_run="--run" in words)
    except (BrokenLinkError, NoRecordError) as error:
        print(error, file=sys.stderr)
        return 2
    print(f"written: {n_pages} pages in {out / 'docs'}")
    if "--pages" in words:
        return 0
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--config-file", "mkdocs.yml"]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}  # of what its authors plan, not of these pages
    return subprocess.run(command, cwd=out, env=quiet, check=False).returncode


def write_pages(out: Path, *, is_run: bool) -> int:
    """Writes OUT/docs and OUT/mkdocs.yml afresh; gives the number of pages."""
    docs = out / "docs"
    shutil.rmtree(docs, ignore_errors=True)
    docs.mkdir(parents=True)
    shutil.copy(FOLDER / "mkdocs.yml", out / "mkdocs.yml")
    n_pages = 0
    for path, text in _pages(docs, is_run):
        file = docs / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(with_code_links(text, path), encoding="utf-8")
        n_pages += 1
    return n_pages


def _pages(docs: Path, is_run: bool) -> Iterator[tuple[str, str]]:
    for file in sorted((FOLDER / "pages").glob("*.md")):
        yield file.name, file.read_text(encoding="utf-8")
    yield from part_pages(docs)
    yield from preset_pages(docs, users())
    yield from tutorial_pages(is_run=is_run)
    yield "laws.md", law_page()
    yield "families.md", family_page()
    yield "figures.md", f"# How good and how fast\n\n{section(ROOT / 'README.md', 'How good and how fast')}\n"
    yield "ledger.md", f"# The paper's tables\n\n{fenced('$ zoo ledger' + chr(10) + printed('ledger'))}\n"
    yield "ablations.md", (ROOT / "examples/ablations/REPORT.md").read_text(encoding="utf-8")
    yield "contributing.md", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
