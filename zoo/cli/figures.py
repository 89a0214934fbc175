"""Figures that a command writes to a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zoo.cli.arguments import usage_error
from zoo.drawing.forms import FORMS, drawn
from zoo.drawing.themes import THEMES

if TYPE_CHECKING:
    from zoo.drawing.shapes import Drawing

Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Draw it, too: FILE.svg, or FILE.png by matplotlib."),
]

Theme = Annotated[
    str,
    typer.Option(
        "--theme",
        metavar="NAME",
        help="The drawing's colours: light, dark, or auto: an SVG that follows its reader, a light PNG.",
    ),
]


def check_output(file: Path | None, forms: Sequence[str] = FORMS, theme: str = "auto") -> None:
    """Before what takes long. Raises: SpecError for a file that cannot be written in the form that its name says."""
    if theme not in THEMES:
        raise usage_error(f"--theme is {', '.join(THEMES[:-1])} or {THEMES[-1]}, not {theme!r}")
    if file is None:
        return
    *first, last = forms
    if file.suffix.lower() not in forms:
        raise usage_error(
            f"--output {file}: the name of a file is needed that ends in {', '.join(first)} or {last}"
        )
    if file.is_dir():
        raise usage_error(f"--output {file}: this is a folder; give the name of a file")
    if not file.parent.is_dir():
        raise usage_error(f"--output {file}: there is no folder {file.parent}")
    from zoo.drawing.pixels import can_draw

    if file.suffix.lower() == ".png" and not can_draw():
        raise usage_error(
            f"--output {file}: PNG needs matplotlib (pip install 'architecture-zoo[report]'); .svg needs nothing"
        )


def write_figure(file: Path, drawing: Drawing, theme: str = "auto") -> None:
    """Writes a drawing in the form that the file's name says, in one of THEMES."""
    from zoo.storage.files import write_bytes

    write_bytes(file, drawn(drawing, file.suffix, theme))
