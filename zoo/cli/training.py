"""The commands train and resume, and what they say at the end."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from zoo.cli import completing
from zoo.cli.arguments import (
    Force,
    Plugins,
    Quiet,
    Scale,
    load,
    load_plugins,
    one,
    split,
)
from zoo.cli.text import (
    next_text,
    results_text,
    samples_text,
)
from zoo.cli.using import end_where_not_written

DEFAULT_PRESET = "quickstart"


def train(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SPEC] [KEY=VALUE]...", show_default=False, autocompletion=completing.words),
    ] = None,
    scale: Scale = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="RUN", help="The run folder; by default a new one in runs/."),
    ] = None,
    init_from: Annotated[
        Path | None,
        typer.Option(
            "--init-from",
            metavar="FOLDER",
            help="A run or an imported checkpoint to take weights and tokenizer from.",
        ),
    ] = None,
    freeze: Annotated[
        list[str] | None,
        typer.Option(
            "--freeze",
            metavar="PATTERN",
            help="Weights not to be trained, by name, with * and ?; may be repeated.",
        ),
    ] = None,
    plugin: Plugins = None,
    quiet: Quiet = False,
    force: Force = False,
) -> None:
    """Train a spec, then answer its test set and score it. Without SPEC: the preset 'quickstart'."""
    import json

    sources, overrides = split(words or [])
    if init_from is not None:
        overrides.append(f"training.init_from={json.dumps(str(init_from))}")
    if freeze:
        overrides.append(f"training.freeze={json.dumps(freeze)}")
    name, spec = load(one(sources or [DEFAULT_PRESET], "SPEC"), overrides, scale, plugin)
    from zoo.run import training

    _finish(training.train(spec, out, name=name, progress=not quiet, force=force), is_quiet=quiet)


def resume(
    words: Annotated[
        list[str],
        typer.Argument(metavar="RUN [KEY=VALUE]...", show_default=False, autocompletion=completing.words),
    ],
    plugin: Plugins = None,
    quiet: Quiet = False,
    force: Force = False,
) -> None:
    """Go on with a run from its newest checkpoint; KEY=VALUE may change e.g. training.max_steps."""
    load_plugins(plugin)
    sources, overrides = split(words)
    from zoo.run import training
    from zoo.storage.selection import last_step

    folder = Path(one(sources, "RUN"))
    before = last_step(folder)
    training.resume(folder, *overrides, progress=not quiet, force=force)
    _finish(folder, is_quiet=quiet, has_trained=last_step(folder) > before)


def _finish(folder: Path, *, is_quiet: bool, has_trained: bool = True) -> None:
    """After training: the scores on the test set, a few answers, where the run lies, what comes next.

    Where nothing was left to train, which has been said by then, the scores are those that are there, if they are.
    """
    from zoo.run.evaluating import evaluate as evaluate_run
    from zoo.run.evaluating import kept_results
    from zoo.run.folder import run_in
    from zoo.run.telling import early_end
    from zoo.training.ranks import is_first_process

    training = run_in(folder).training
    if not is_first_process(None if training is None else training.n_ranks):
        return
    results = None if has_trained else kept_results(folder)
    if results is None:
        if not is_quiet:
            print("evaluating", file=sys.stderr, flush=True)
        results = evaluate_run(folder, progress=not is_quiet)
    parts = [results_text(results), samples_text(results), next_text(folder, results)]
    if has_trained and (end := early_end(folder)):
        parts.append(end)
    print("\n\n".join(parts))
    end_where_not_written(results)
