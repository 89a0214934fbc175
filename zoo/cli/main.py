"""The commands: a thin shell over the public API. Heavy imports stand inside the commands that need them.

Nothing here imports torch before a file's form is known to be right; only train and resume reach lightning.
"""

from __future__ import annotations

from zoo.cli import ending

if __name__ == "__main__":
    ending.listen()  # before what takes time to import

from collections.abc import Callable
from typing import Annotated

import typer

from zoo.cli import (
    ablation,
    attending,
    comparing,
    conforming,
    drawing,
    explaining,
    exploring,
    interop,
    ledger,
    looking,
    new,
    reaching,
    training,
    using,
)
from zoo.cli.shell import Shell

app = typer.Typer(
    cls=Shell,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # half of the time that `zoo --help` takes; and an error is a line, not a box
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Compose Transformers from declarative specs, train them, compare them and use them.",
    epilog="SPEC is a preset's name, a YAML file or a run folder; KEY=VALUE changes a key of it, "
    "e.g. model.encoder.n_layers=2. `zoo train` alone trains the preset 'quickstart'.",
)


def _version(is_asked: bool) -> None:
    if is_asked:
        from importlib.metadata import version

        print(f"zoo {version('architecture-zoo')}")
        raise typer.Exit


@app.callback()
def shell(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", envvar="ZOO_DEBUG", help="Show tracebacks.")] = False,
) -> None:
    """Holds the options that stand before the command."""
    context.obj = debug


COMMANDS: tuple[Callable[..., None], ...] = (
    *(looking.list_, looking.describe, explaining.explain, looking.show, looking.check, looking.schema),
    *(comparing.cost, comparing.diff, drawing.draw, exploring.explore),
    *(comparing.bench, reaching.reach, ledger.ledger),
    *(training.train, training.resume, using.evaluate, using.generate, using.predict),
    *(attending.attend, new.new, conforming.conform),
    *(ablation.ablate, ablation.report, interop.import_, interop.export, interop.certify),
)
for each in COMMANDS:
    app.command(each.__name__.rstrip("_"))(each)


def main() -> None:
    """`python -m zoo.cli.main`; the console script is that of zoo/cli/start.py."""
    ending.run(lambda: app(prog_name="zoo"))


if __name__ == "__main__":
    main()
