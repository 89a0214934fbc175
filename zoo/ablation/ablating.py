"""An ablation from its file to its results, for programs and the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from registry import load_plugin
from zoo.ablation.engines import Engine, check_engine, make_engine
from zoo.ablation.plan import Plan, Trial
from zoo.ablation.planning import make_plan
from zoo.ablation.results import Results, collect, write_table
from zoo.ablation.running import run_plan
from zoo.ablation.spec import Document, read
from zoo.ablation.trial import Outcome
from zoo.errors import RunError

FOLDER = Path("ablations")


def plan_ablation(
    source: str | Path | Mapping[str, Any] | Document,
    *overrides: str,
    plugins: Sequence[str | Path] = (),
    force: bool = False,
) -> Plan:
    """What an ablation would do: its variants, checked, matched and costed, and every training; nothing is trained.

    source is its file, or a mapping of the same keys. overrides, `dotted.key=VALUE`, are for all variants, the base
    too; plugins are Python files that register components, executed here; force also takes variants that memory does
    not hold.
    Raises: PresetError, SpecError and PluginError.
    """
    document = source if isinstance(source, Document) else read(source)
    for plugin in plugins:
        load_plugin(plugin)
    return make_plan(document, given=overrides, force=force)


def ablate(
    source: str | Path | Mapping[str, Any] | Document,
    *overrides: str,
    out: str | Path | None = None,
    plugins: Sequence[str | Path] = (),
    jobs: int | None = None,
    engine: str | Engine = "here",
    options: Mapping[str, Any] | None = None,
    force: bool = False,
    planned: Callable[[Plan], None] | None = None,
    report: Callable[[Trial, Outcome | None], None] | None = None,
) -> Results:
    """Trains a base and its variants with several seeds each, what is not trained yet, and reads what they gave.

    source, overrides, plugins and force are those of `plan_ablation`. The runs lie in `out`, by default
    `ablations/<the file's name>`, with everything in one table beside them, `results.sqlite`; the same call goes on
    where it was stopped, and where nothing is left to train only makes the table again. A training that fails or
    diverges is a result: it is named with its reason, and the others go on; failed ones are tried again by the next
    call.
    engine is where they are trained: "here", "ray", "slurm", or an Engine of your own, with its options as
    zoo/ablation/engines.py says; `jobs` at a time, by default 1 here and as many as a cluster takes. planned is given
    the plan before the first training, report each training as it starts, with None, and its outcome as it ends.
    Raises: as `plan_ablation`; RunError for a folder in use, or that holds other specs, or where every training failed;
        PreemptedError and KeyboardInterrupt, when all have saved.
    """
    document = source if isinstance(source, Document) else read(source)
    if isinstance(engine, str):
        check_engine(engine)
    plan = plan_ablation(document, *overrides, plugins=plugins, force=force)
    folder = FOLDER / document.name if out is None else Path(out)
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder}: is a file; the runs of an ablation go into a folder")
    if planned is not None:
        planned(plan)
    files = [Path(plugin) for plugin in plugins]
    started = (
        make_engine(engine, folder.absolute(), jobs=jobs, options=options or {})
        if isinstance(engine, str)
        else engine
    )
    with closing(started):
        run_plan(plan, folder, started, plugins=files, report=report)
    results = collect(plan, folder)
    write_table(results, folder)
    if not any(each.status == "done" for each in results.trials):
        first = results.trials[0]
        raise RunError(
            f"{folder}: no training came to its end, so nothing can be compared; the first: {first.variant}, "
            f"seed {first.seed}: {first.status}: {first.reason}"
        )
    return results
