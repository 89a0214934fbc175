"""The command ablate: many runs compared."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from zoo.cli.arguments import Force, Plugins, Quiet, load_plugins, one, split


def ablate(
    words: Annotated[list[str], typer.Argument(metavar="FILE [KEY=VALUE]...", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FOLDER", help="Where the runs go; by default ablations/FILE's name."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check and cost every variant, and stop.")
    ] = False,
    jobs: Annotated[
        int, typer.Option("--jobs", metavar="N", min=1, max=1024, help="Trainings side by side.")
    ] = 1,
    plugin: Plugins = None,
    quiet: Quiet = False,
    force: Force = False,
) -> None:
    """Train a base and its variants with several seeds each, and compare them; goes on where it was stopped."""
    sources, overrides = split(words)
    file = Path(one(sources, "FILE"))
    from zoo.ablation.spec import read

    spec = read(file)
    load_plugins(plugin)
    from zoo.ablation.plan import make_plan
    from zoo.ablation.results import collect, primary_metric, write_table
    from zoo.ablation.telling import plan_text, results_text, trial_text

    plan = make_plan(spec, folder=file.parent, given=overrides, force=force)
    primary_metric(plan)
    if dry_run:
        print(plan_text(plan))
        return
    if not quiet:
        print(f"{plan_text(plan)}\n", file=sys.stderr, flush=True)
    from zoo.ablation.running import Outcome, run_plan

    order = [*plan.tuning, *plan.trials]

    def report(trial: object, found: Outcome | None) -> None:
        if not quiet or (found is not None and found.status != "done"):
            number = order.index(trial) + 1  # type: ignore[arg-type]
            text = trial_text(trial, found, number=number, n=len(order))  # type: ignore[arg-type]
            print(text, file=sys.stderr, flush=True)

    folder = out or Path("ablations") / file.stem
    run_plan(plan, folder, plugins=plugin or (), jobs=jobs, report=report)
    results = collect(plan, folder)
    write_table(results, plan, folder)
    print(results_text(plan, results))
