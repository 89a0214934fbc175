"""The command new: the beginning of a part of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zoo.cli import completing
from zoo.cli.arguments import kind_named, kinds


def new(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND",
            show_default=False,
            autocompletion=completing.kind_names,
            help="As `zoo list` names them.",
        ),
    ],
    name: Annotated[
        str, typer.Argument(metavar="NAME", show_default=False, help="The part's, an identifier.")
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="FOLDER", show_default=False, help="By default the current one.")
    ] = Path(),
    package: Annotated[
        bool,
        typer.Option("--package", help="An installable package with a preset of its own, in FOLDER/NAME."),
    ] = False,
) -> None:
    """Write a part of your own and its test, which work as they are; print what to run next."""
    chosen = kind_named(kind, kinds(None), further=())
    from zoo.new.writing import new_package, new_part

    written = (new_package if package else new_part)(chosen, name, out)
    for file in written.files:
        print(f"written: {file}")
    print("\nNext:")
    for line in written.next:
        print(f"  {line}")
