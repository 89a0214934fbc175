"""The commands ablate and report: many runs compared."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zoo.cli import completing
from zoo.cli.arguments import Force, Plugins, Quiet, load_plugins, one, split, usage_error

if TYPE_CHECKING:
    from zoo.ablation.plan import Plan, Trial
    from zoo.ablation.trial import Outcome


def ablate(
    words: Annotated[
        list[str],
        typer.Argument(metavar="FILE [KEY=VALUE]...", show_default=False, autocompletion=completing.words),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FOLDER", help="Where the runs go; by default ablations/FILE's name."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check and cost every variant, and stop.")
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            metavar="N",
            min=1,
            max=1024,
            help="Trainings side by side; by default 1 here, and as many as a cluster takes.",
        ),
    ] = None,
    engine: Annotated[
        str,
        typer.Option(
            "--engine",
            metavar="NAME",
            help="Where to train: here; ray (a Ray cluster, by default one of this machine); slurm (by submitit).",
        ),
    ] = "here",
    option: Annotated[
        list[str] | None,
        typer.Option(
            "--engine-option",
            metavar="KEY=VALUE",
            help="Of ray.init, such as address=auto, or submitit's, such as slurm_partition=gpu; may be repeated.",
        ),
    ] = None,
    plugin: Plugins = None,
    quiet: Quiet = False,
    force: Force = False,
) -> None:
    """Train a base and its variants with several seeds each, and compare them; goes on where it was stopped."""
    sources, overrides = split(words)
    file = Path(one(sources, "FILE"))
    from zoo.ablation.spec import read

    document = read(file)
    from zoo.ablation import ablating
    from zoo.ablation.engines import check_engine
    from zoo.ablation.telling import plan_text, results_text

    options = _options(option or [])
    if dry_run:
        check_engine(engine)
        print(plan_text(ablating.plan_ablation(document, *overrides, plugins=plugin or (), force=force)))
        return
    teller = _Teller(is_quiet=quiet)
    results = ablating.ablate(
        document,
        *overrides,
        out=out,
        plugins=plugin or (),
        jobs=jobs,
        engine=engine,
        options=options,
        force=force,
        planned=teller.planned,
        report=teller.report,
    )
    print(results_text(results))


def _options(words: Sequence[str]) -> dict[str, Any]:
    """KEY=VALUE each, the value as in YAML. Raises: SpecError."""
    from presets.yaml12 import read_value

    found = {}
    for word in words:
        key, sign, value = word.partition("=")
        if not sign or not key:
            raise usage_error(f"--engine-option {word}: an option is written KEY=VALUE")
        found[key] = read_value(value, f"--engine-option {word}")
    return found


class _Teller:
    """Says on standard error what is to be done, what is being done, and how long the rest will take."""

    def __init__(self, *, is_quiet: bool) -> None:
        self.is_quiet = is_quiet
        self.order: list[Trial] = []
        self.start: float | None = None
        self.n_ended = 0

    def planned(self, plan: Plan) -> None:
        from zoo.ablation.telling import plan_text

        self.order = [*plan.tuning, *plan.trials]
        if not self.is_quiet:
            print(f"{plan_text(plan)}\n", file=sys.stderr, flush=True)

    def report(self, trial: Trial, found: Outcome | None) -> None:
        from zoo.ablation.telling import trial_text

        now = time.monotonic()
        if self.start is None:
            self.start = now
        number, n = self.order.index(trial) + 1, len(self.order)
        self.n_ended += found is not None
        left = (now - self.start) / self.n_ended * (n - number) if found is not None else None
        if not self.is_quiet or (found is not None and found.status != "done"):
            print(trial_text(trial, found, number=number, n=n, left_s=left), file=sys.stderr, flush=True)


def report(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Where the report goes; by default FOLDER/report."),
    ] = None,
    shuffles: Annotated[
        int,
        typer.Option(
            "--shuffles", metavar="N", min=0, max=10**6,
            help="Of each significance test between two corpora of outputs; 0 leaves these tests out.",
        ),
    ] = 1000,
    plugin: Plugins = None,
    quiet: Quiet = False,
) -> None:  # fmt: skip
    """Write what an ablation has found as a page, Markdown, a LaTeX table and figures."""
    load_plugins(plugin)
    from functools import partial

    from zoo.ablation.report.writing import PAGE, report_on, write_report
    from zoo.drawing.pixels import can_draw
    from zoo.progress import Bar

    with Bar(is_shown=not quiet) as bar:
        found = report_on(folder, n_shuffles=shuffles, progress=partial(bar, "testing outputs"))
    out = out or folder / "report"
    written = write_report(found, out)
    if not can_draw() and not quiet:
        print(
            "figures as SVG only: PNG needs matplotlib (pip install 'architecture-zoo[report]')",
            file=sys.stderr,
        )
    print(f"{len(written)} files in {out}; the page is {out / PAGE}")
