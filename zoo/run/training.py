"""Training a run in its folder, from the start or from its newest checkpoint."""

from __future__ import annotations

import sys
from pathlib import Path

from zoo.run.folder import is_first_process, new_folder, require, run_in
from zoo.run.memory import check_memory
from zoo.run.spec import RunSpec


def train(
    run: RunSpec,
    out: str | Path | None = None,
    *,
    name: str = "run",
    progress: bool = True,
    force: bool = False,
) -> Path:
    """Trains a run in a folder of its own and returns that: `out`, or a new `runs/<name>-<hash>-<number>`.

    force trains where the estimate says that memory will not do.
    Raises: SpecError for a spec without task, training or generation, too large for the memory there is, or for
        a device that is not there;
        DataError; RunError for a folder in use; DivergedError; PreemptedError and KeyboardInterrupt, both
        after saving.
    """
    require(run, "task", "training", "generation", why="train it")
    check_memory(run, force=force or not is_first_process())
    return _fit(run, new_folder(run, name) if out is None else Path(out), is_resumed=False, progress=progress)


def resume(folder: str | Path, *overrides: str, progress: bool = True, force: bool = False) -> Path:
    """Goes on with a run from its newest checkpoint, from the start if there is none yet; returns the folder.

    overrides may change what does not touch what is learnt, such as training.max_steps.
    Raises: as `train`.
    """
    run = run_in(Path(folder), *overrides)
    require(run, "task", "training", "generation", why="train it")
    check_memory(run, force=force or not is_first_process())
    return _fit(run, Path(folder), is_resumed=True, progress=progress)


def _fit(run: RunSpec, folder: Path, *, is_resumed: bool, progress: bool) -> Path:
    from zoo.training.fit import fit  # the way to lightning, whose import takes longer than torch's

    if progress and is_first_process():
        print(f"run: {folder} (after an interruption: zoo resume {folder})", file=sys.stderr, flush=True)
    fit(run, folder, resume=is_resumed, progress=progress)  # type: ignore[arg-type]
    return folder
