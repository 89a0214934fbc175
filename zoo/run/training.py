"""Training a run in its folder, from the start or from its newest checkpoint."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo.run.folder import is_first_process, new_folder, require, run_in
from zoo.run.spec import RunSpec, load
from zoo.training.checkpoints import Checkpoints
from zoo.training.selection import CHECKPOINTS_FOLDER


def train(
    run: RunSpec | str | Path | Mapping[str, Any],
    out: str | Path | None = None,
    *,
    name: str | None = None,
    progress: bool = True,
) -> Path:
    """Trains a run in a folder of its own and returns that: `out`, or a new `runs/<name>-<hash>-<number>`.

    run is a spec, or what `load` reads one from, such as a preset's name, which is then the folder's name too.
    Raises: SpecError for a spec without task, training or generation, or a device that is not there;
        DataError; RunError for a folder in use; DivergedError; PreemptedError and KeyboardInterrupt, both
        after saving.
    """
    if not isinstance(run, RunSpec):
        name = name or (Path(run).stem if isinstance(run, str | Path) else None)
        run = load(run)
    require(run, "task", "training", "generation", why="train it")
    folder = new_folder(run, name or "run") if out is None else Path(out)
    return _fit(run, folder, is_resumed=False, progress=progress)


def resume(folder: str | Path, *overrides: str, progress: bool = True) -> Path:
    """Goes on with a run from its newest checkpoint, from the start if there is none yet; returns the folder.

    overrides may change what does not touch what is learnt, such as training.max_steps.
    Raises: as `train`.
    """
    run = run_in(Path(folder), *overrides)
    require(run, "task", "training", "generation", why="train it")
    return _fit(run, Path(folder), is_resumed=True, progress=progress)


def _fit(run: RunSpec, folder: Path, *, is_resumed: bool, progress: bool) -> Path:
    from zoo.training.fit import fit  # the way to lightning, whose import takes longer than torch's

    if progress and is_first_process():
        print(f"run: {folder} (after an interruption: zoo resume {folder})", file=sys.stderr, flush=True)
    before = Checkpoints(folder / CHECKPOINTS_FOLDER).steps()[-1:] if is_resumed else []
    result = fit(run, folder, resume=is_resumed, progress=progress)  # type: ignore[arg-type]
    if before == [result.step] and is_first_process():
        _say_done(run, folder, result.step, result.minutes)
    return folder


def _say_done(run: RunSpec, folder: Path, step: int, minutes: float) -> None:
    """Why a resumed run went no step further, and how it would."""
    training = run.training
    assert training is not None
    if step >= training.max_steps:
        text, further = f"step {step} of {training.max_steps}", f"training.max_steps={2 * training.max_steps}"
    else:
        limit = training.max_minutes or 0
        text = f"{minutes:.1f} of {limit:g} minutes, step {step} of {training.max_steps}"
        further = f"training.max_minutes={2 * limit:g}"
    print(f"this run is done: {text}; to go on: zoo resume {folder} {further}", file=sys.stderr, flush=True)
