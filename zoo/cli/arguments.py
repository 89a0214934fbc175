"""The words of a command line: options that commands share, and from words to specs and kinds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from registry import Kind, SpecError
    from zoo.run.spec import RunSpec

_OVERRIDE = re.compile(r"[A-Za-z_]\w*(\.\w+)*=")

Words = Annotated[list[str], typer.Argument(metavar="SPEC [KEY=VALUE]...", show_default=False)]
Scale = Annotated[str | None, typer.Option("--scale", metavar="NAME", help="A scale of the spec, e.g. tiny.")]
Plugins = Annotated[
    list[Path] | None,
    typer.Option("--plugin", metavar="FILE", help="A Python file that registers components; it is executed."),
]
Device = Annotated[str, typer.Option("--device", metavar="NAME", help="auto, cpu, cuda or cuda:N.")]
BeamSize = Annotated[
    int | None, typer.Option("--beam-size", metavar="N", min=1, help="Instead of the spec's.")
]
Checkpoint = Annotated[
    str,
    typer.Option(
        "--checkpoint",
        metavar="NAME",
        help="result (the average, else the best), best, last, average, or a step.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Force = Annotated[
    bool, typer.Option("--force", help="Go on where a model is larger than memory, or than any model.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]


def split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Sources and overrides; a word is an override when it reads KEY=VALUE with a dotted key."""
    overrides = [word for word in words if _OVERRIDE.match(word)]
    return [word for word in words if not _OVERRIDE.match(word)], overrides


def load(
    source: str, overrides: Sequence[str], scale: str | None, plugins: Sequence[Path] | None
) -> tuple[str, RunSpec]:
    """A source's name and spec; a file wrong in form is refused before torch is imported."""
    import presets

    document = presets.read(source, overrides=overrides, scale=scale)
    load_plugins(plugins)
    from zoo.run.spec import from_document

    return document.name, from_document(document)


def one(sources: Sequence[str], what: str) -> str:
    """The only source there may be. Raises: SpecError for none or several."""
    if len(sources) != 1:
        given = f"{len(sources)} are given: {', '.join(sources)}" if sources else "none is given"
        raise usage_error(f"one {what} is needed, and {given} (an override reads KEY=VALUE)")
    return sources[0]


def usage_error(message: str) -> SpecError:
    """A mistake in the words of a command."""
    from registry import Problem, SpecError

    return SpecError([Problem("", message)])


def load_plugins(plugins: Sequence[Path] | None) -> None:
    """Executes the files, so that their components are known."""
    from registry import load_plugin

    for path in plugins or ():
        load_plugin(path)


def kinds(plugins: Sequence[Path] | None) -> tuple[Kind, ...]:
    """All kinds of component, those of the plugins loaded."""
    from zoo.kinds import KINDS

    load_plugins(plugins)
    return KINDS


def kind_named(name: str, known: Sequence[Kind]) -> Kind:
    """The kind of that name. Raises: SpecError."""
    from registry import suggest

    found = next((kind for kind in known if kind.name == name), None)
    if found is None:
        names = [*(kind.name for kind in known), "presets"]
        raise usage_error(f"no kind is called '{name}'; {suggest(name, names, listed=True)}")
    return found
