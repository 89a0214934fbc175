"""The command attend: what a model attends to."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from zoo.cli import completing
from zoo.cli.arguments import Checkpoint, Device, Mistakes, Plugins, load_plugins, usage_error
from zoo.cli.components import numbers
from zoo.cli.figures import Theme, check_output

_COLUMNS = 100
"""Of lines that go to no terminal."""
_BESIDE_QUERIES = 4
"""Lines of a screen that a map has besides its queries: its heading, what is left out, a blank and a prompt."""
SUFFIXES = (".html", ".svg", ".png", ".npz")
_OVERRIDE = re.compile(r"(?:generation|task)(?:\.\w+)*=\S.*", re.DOTALL)


def attend(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN SENTENCE [KEY=VALUE]...", show_default=False, autocompletion=completing.words
        ),
    ],
    target: Annotated[
        str | None,
        typer.Option("--target", metavar="TEXT", help="An output to look at, instead of the model's own."),
    ] = None,
    layers: Annotated[
        str | None,
        typer.Option("--layers", metavar="N,N", help="Layers of every stack, from 0, such as 0,2."),
    ] = None,
    heads: Annotated[
        str | None, typer.Option("--heads", metavar="N,N", help="Heads of every layer, from 0, such as 1.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="A page with every head (.html), a sheet of heat maps (.svg, .png), or arrays (.npz).",
        ),
    ] = None,
    theme: Theme = "auto",
    checkpoint: Checkpoint = "result",
    device: Device = "auto",
    plugin: Plugins = None,
) -> None:
    """Show what a model attends to when it reads a sentence, and writes for it: attention maps of its layers and heads.

    Without -o: for each query the keys with most weight, in the last layers, as much as fits the terminal.
    """
    load_plugins(plugin)
    run, *rest = words
    overrides = [word for word in rest if _OVERRIDE.fullmatch(word)]
    mistakes = Mistakes()
    sentence = mistakes.of(
        _sentence, run, [word for word in rest if not _OVERRIDE.fullmatch(word)], overrides
    )
    chosen, chosen_heads = mistakes.of(numbers, "--layers", layers), mistakes.of(numbers, "--heads", heads)
    mistakes.of(check_output, output, SUFFIXES, theme)
    mistakes.tell()
    assert sentence is not None
    from zoo.cli.attention_text import head_text, last_of_each, maps_text
    from zoo.run.attending import attention_maps

    found = attention_maps(
        run,
        sentence,
        *overrides,
        target=target,
        layers=chosen,
        heads=chosen_heads,
        checkpoint=checkpoint,
        device=device,
    )
    if output is None:
        columns, lines = shutil.get_terminal_size((_COLUMNS, 0))  # 0: no terminal, nothing to scroll away
        n_queries = max(lines - _BESIDE_QUERIES, 1) if lines else None
        maps = found.maps if chosen else last_of_each(found.maps)
        print(maps_text(found, maps, columns=columns, n_queries=n_queries))
    else:
        from zoo.analysis.attention_files import write_maps

        write_maps(found, output, theme)
        print(f"{head_text(found, outcome=found.outcome)}\n{output}")
    if found.unconfirmed:
        print(found.checked, file=sys.stderr)


def _sentence(run: str, words: list[str], overrides: list[str]) -> str:
    """The one word that is the sentence. Raises: SpecError for none, and for several, between which spaces are lost."""
    if not words:
        raise usage_error(f"a sentence is needed: zoo attend {shlex.quote(run)} 'SENTENCE'")
    if len(words) > 1:
        whole = shlex.join([run, " ".join(words), *overrides])
        raise usage_error(f"the sentence is in {len(words)} words and wants quotes: zoo attend {whole}")
    return words[0]
