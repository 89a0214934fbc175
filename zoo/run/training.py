"""Training a run in its folder, from the start or from its newest checkpoint."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from registry import SpecError
from zoo.data.coder import STEMS
from zoo.errors import DataError
from zoo.run.folder import new_folder, require, run_in
from zoo.run.memory import check_memory
from zoo.run.spec import RunSpec, load
from zoo.run.starting import in_step
from zoo.run.telling import done_text, head_line, how_to_give, opening_line
from zoo.storage.checkpoints import CHECKPOINTS_FOLDER
from zoo.storage.files import SPEC_FILE
from zoo.storage.metrics import METRICS_FILE
from zoo.storage.selection import last_step
from zoo.tasks.prepared import CACHE_FOLDER
from zoo.tasks.word_vectors import RECORD as WORD_VECTORS_FILE
from zoo.training.plugins import PLUGINS_FILE
from zoo.training.ranks import is_first_process
from zoo.training.settling import settle_precision
from zoo.training.starting import RECORD as INIT_FILE

_OF_AN_ATTEMPT = {
    SPEC_FILE,
    CACHE_FOLDER,
    CHECKPOINTS_FOLDER,
    "environment.json",
    PLUGINS_FILE,
    WORD_VECTORS_FILE,
    METRICS_FILE,
    INIT_FILE,
    "tensorboard",
    "logs",
}


def train(
    run: RunSpec | str | Path | Mapping[str, Any],
    out: str | Path | None = None,
    *,
    name: str | None = None,
    progress: bool = True,
    force: bool = False,
) -> Path:
    """Trains a run in a folder of its own and returns that: `out`, or a new `runs/<name>-<hash>-<number>`.

    run is a spec, or what `load` reads one from, such as a preset's name, which is then the folder's name too. A
    folder made here goes again when the spec or the data turn out to be wrong. force trains where the estimate says
    that memory will not do.
    Raises: SpecError for a spec without task, training or generation, too large for the memory there is, or for a
        device that is not there;
        DataError; RunError for a folder in use; DivergedError; PreemptedError and KeyboardInterrupt, both
        after saving.
    """
    if not isinstance(run, RunSpec):
        name = name or (Path(run).stem if isinstance(run, str | Path) else None)
        run = load(run)
    require(run, "task", "training", "generation", why="train it", how=how_to_give)
    run = in_step(run)
    check_memory(run, force=force or not is_first_process(_n_ranks(run)))
    is_new = out is None or not Path(out).exists()
    folder = new_folder(run, name or "run", n_ranks=_n_ranks(run)) if out is None else Path(out)
    try:
        return _fit(run, folder, is_resumed=False, progress=progress)
    except (SpecError, DataError):
        if is_new and is_first_process(_n_ranks(run)):
            remove_attempt(folder)
        raise


def resume(folder: str | Path, *overrides: str, progress: bool = True, force: bool = False) -> Path:
    """Goes on with a run from its newest checkpoint, from the start if there is none yet; returns the folder.

    overrides may change what does not touch what is learnt, such as training.max_steps.
    Raises: as `train`.
    """
    run = run_in(Path(folder), *overrides)
    require(run, "task", "training", "generation", why="train it", how=how_to_give)
    check_memory(run, force=force or not is_first_process(_n_ranks(run)))
    return _fit(run, Path(folder), is_resumed=True, progress=progress)


def _fit(run: RunSpec, folder: Path, *, is_resumed: bool, progress: bool) -> Path:
    run, reason = settle_precision(run)
    before = last_step(folder) if is_resumed else 0
    if progress and is_first_process(_n_ranks(run)):
        print(head_line(run, reason, n_taken=before), file=sys.stderr, flush=True)
    from zoo.training.fit import fit  # the way to lightning, whose import takes longer than torch's

    result = fit(run, folder, resume=is_resumed, progress=progress, opening=opening_line(folder))  # type: ignore[arg-type]
    if before == result.step and is_first_process(_n_ranks(run)):
        print(done_text(run, folder, result.step), file=sys.stderr)
    return folder


def _n_ranks(run: RunSpec) -> int:
    assert run.training is not None
    return run.training.n_ranks


def remove_attempt(folder: Path) -> None:
    """Removes the folder of a training that never began, if nothing lies in it but what such a one leaves."""
    names = (
        {path.name for path in folder.iterdir() if not path.name.startswith(".")}
        if folder.is_dir()
        else set()
    )
    is_bare = all(name in _OF_AN_ATTEMPT or name.startswith(STEMS) for name in names)
    has_begun = any((folder / CHECKPOINTS_FOLDER).glob("step-*"))
    if names and is_bare and not has_begun:
        shutil.rmtree(folder, ignore_errors=True)
