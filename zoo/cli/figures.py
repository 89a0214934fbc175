"""Figures that a command writes to a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zoo.cli.arguments import usage_error

if TYPE_CHECKING:
    from zoo.drawing.shapes import Drawing

FORMS = (".svg", ".png")
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Draw it, too: FILE.svg, or FILE.png by matplotlib."),
]


def check_figure(file: Path | None) -> None:
    """Before what takes long. Raises: SpecError for a file that no figure can be written to."""
    if file is None:
        return
    if file.suffix not in FORMS:
        raise usage_error(f"--output {file}: a figure's name ends in {' or '.join(FORMS)}")
    if not file.parent.is_dir():
        raise usage_error(f"--output {file}: there is no folder {file.parent}")
    from zoo.drawing.pixels import can_draw

    if file.suffix == ".png" and not can_draw():
        raise usage_error(
            f"--output {file}: PNG needs matplotlib (pip install 'architecture-zoo[report]'); .svg needs nothing"
        )


def write_figure(file: Path, drawing: Drawing) -> None:
    """Writes a drawing in the form that the file's name says."""
    from zoo.storage.files import write_bytes

    if file.suffix == ".png":
        from zoo.drawing.pixels import png

        write_bytes(file, png(drawing))
    else:
        from zoo.drawing.svg import svg

        write_bytes(file, svg(drawing, is_file=True).encode())
