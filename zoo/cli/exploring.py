"""The command explore: a spec and its model side by side, in the browser."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from zoo.cli import completing
from zoo.cli.arguments import Plugins, Scale, load_plugins, one, split, usage_error

_FIRST = "quickstart"


def explore(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SPEC [KEY=VALUE]...]", show_default=False, autocompletion=completing.words),
    ] = None,
    port: Annotated[
        int,
        typer.Option("--port", metavar="N", min=0, max=65535, help="Of this machine; 0: any that is free."),
    ] = 0,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Whether to open one.")] = True,
    scale: Scale = None,
    plugin: Plugins = None,
) -> None:
    """Edit a spec in the browser: completion, mistakes as you type, the drawing, what it costs, what you changed.

    The page is served by this machine to itself alone, at an address that nobody can guess, until Ctrl-C.
    """
    load_plugins(plugin)
    sources, overrides = split(words or [])
    source = one(sources or [_FIRST], "SPEC")
    from zoo.cli.explore.answers import answer, start_of

    start = start_of(source, tuple(overrides), scale)
    answer(
        {"text": start.text, "overrides": " ".join(overrides)}, lambda: None
    )  # what is slow the first time
    from zoo.cli.explore.server import HOST, Server

    try:
        server = Server(start, port)
    except OSError as error:
        raise usage_error(f"--port {port}: {HOST} cannot listen there ({error.strerror})") from None
    with server:
        print(f"{source}: {server.address}\nCtrl-C ends it", flush=True)
        if browser:
            import webbrowser

            if not webbrowser.open(server.address):
                print("no browser was found; open the address in one", file=sys.stderr)
        server.serve_forever()
