"""Plain text as Markdown, and links into the repository that are known to lead somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import yaml

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
_LINK = re.compile(r"\]\(repo:([^)#\s]+)(?:#([\w.]+))?\)")
_LABEL = re.compile(r"^(Source|Shapes|Raises|Differs|Needs|Letters|Cost): ")


class BrokenLinkError(Exception):
    """A page points at a file, or at something in it, that is not there."""


def code_url(file: str, line: int | None = None) -> str:
    """Where a file of this repository is read, at a line of it."""
    config = yaml.safe_load((FOLDER / "mkdocs.yml").read_text(encoding="utf-8"))
    return f"{config['repo_url']}/blob/main/{file}" + (f"#L{line}" if line else "")


def with_code_links(text: str, page: str) -> str:
    """The page's text, each `](repo:FILE)` or `](repo:FILE#NAME)` made a link to that file, or to the line that defines
    the function, class, method or constant of that name.

    Raises: BrokenLinkError with the page and the link where there is no such file or name.
    """

    def linked(match: re.Match[str]) -> str:
        file, name = match.groups()
        if not (ROOT / file).exists():
            raise BrokenLinkError(f"{page}: no file {file} in the repository")
        return f"]({code_url(file, line_of(file, name, page) if name else None)})"

    return _LINK.sub(linked, text)


def line_of(file: str, name: str, page: str) -> int:
    """The number of the line that defines a name in a file."""
    defines = re.compile(rf"\s*(?:def|class) {name}\b|{name}\s*[:=]")
    for number, line in enumerate((ROOT / file).read_text(encoding="utf-8").splitlines(), start=1):
        if defines.match(line):
            return number
    raise BrokenLinkError(f"{page}: {file} defines no {name}")


def escaped(text: str) -> str:
    """Text that Markdown leaves as it is, but for what stands between backticks, which stays code."""
    pieces = re.split(r"(`[^`\n]+`)", text)
    return "".join(
        piece
        if i % 2
        else re.sub(r"([\\`*_\[\]#|~])", r"\\\1", piece.replace("&", "&amp;").replace("<", "&lt;"))
        for i, piece in enumerate(pieces)
    )


def prose(doc: str) -> str:
    """A docstring's paragraphs; lines such as `Source: ...` begin one of their own, indented ones go on."""
    blocks: list[list[str]] = [[]]
    for line in doc.splitlines():
        if not line.strip() or _LABEL.match(line):
            blocks.append([])
        if line.strip():
            blocks[-1].append(line.strip())
    paragraphs = [" ".join(block) for block in blocks if block]
    return "\n\n".join(
        f"**{match[1]}**: {escaped(text[match.end() :])}" if (match := _LABEL.match(text)) else escaped(text)
        for text in paragraphs
    )


def table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are Markdown already; a bar inside a cell has to be escaped."""
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join("| " + " | ".join(" ".join(cell.split()) for cell in line) + " |" for line in lines)


def fenced(text: str, language: str = "text") -> str:
    """A block of code."""
    return f"```{language}\n{text.rstrip()}\n```"


def section(file: Path, heading: str) -> str:
    """What stands under a heading `## ...` of a Markdown file, up to the next of its rank.

    Raises: BrokenLinkError where the file has no such heading.
    """
    _, found, after = file.read_text(encoding="utf-8").partition(f"\n## {heading}\n")
    if not found:
        raise BrokenLinkError(f"{file.name} has no section '{heading}'")
    inside_code = False
    lines = []
    for line in after.splitlines():
        inside_code ^= line.startswith("```")
        if line.startswith("## ") and not inside_code:
            break
        lines.append(line)
    return "\n".join(lines).strip()
