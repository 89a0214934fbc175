"""Run folders: a new one's name, and the spec that lies in one."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path

import presets
from registry import Problem, SpecError, dump, suggest
from zoo.errors import RunError
from zoo.run.spec import RunSpec, load
from zoo.storage.files import SPEC_FILE
from zoo.storage.hashing import sha256_of_json
from zoo.tasks.task import TaskSpec
from zoo.training.ranks import is_first_process

RUNS_FOLDER = Path("runs")

_FOLDER_VARIABLE = "ZOO_RUN_FOLDER"


def new_folder(run: RunSpec, name: str, *, n_ranks: int | None = None) -> Path:
    """A folder that nobody else has made: the hash is the spec's, the number the first one free.

    n_ranks is how many processes share it, None where only a Trainer knows.
    """
    if not is_first_process(n_ranks):
        if _FOLDER_VARIABLE not in os.environ:
            raise RunError(
                "processes started one by one do not know each other's run folder: say which (--out)"
            )
        return Path(os.environ[_FOLDER_VARIABLE])
    name, digest = Path(name).name, sha256_of_json(dump(run))[:7]  # of table3/heads_1 the last
    try:
        RUNS_FOLDER.mkdir(exist_ok=True)
        folder = next(filter(_is_made, (RUNS_FOLDER / f"{name}-{digest}-{n}" for n in itertools.count(1))))
    except OSError as error:
        raise RunError(f"{RUNS_FOLDER}: no run folder can be made in it: {error.strerror}") from error
    os.environ[_FOLDER_VARIABLE] = str(folder)  # for the processes that this one starts
    return folder


def _is_made(folder: Path) -> bool:
    try:
        folder.mkdir()
    except FileExistsError:
        return False
    return True


def run_in(folder: Path, *overrides: str) -> RunSpec:
    """The spec of a run folder, which must be one: a preset's name is none."""
    file = folder / SPEC_FILE
    if folder.is_file():
        inside = f", such as {folder.parent}" if folder.name == SPEC_FILE else ""
        raise RunError(f"{folder}: a file, where a run folder is asked for{inside}")
    if not file.is_file():
        raise RunError(f"{folder}: no run lies here: there is no {SPEC_FILE}; {_instead(folder)}")
    return load(file, *overrides)


def _instead(folder: Path) -> str:
    """What may have been meant by a folder without a run: a run beside it, a preset, a checkpoint of transformers."""
    if str(folder) in presets.names():
        return f"{folder} is a preset: zoo train {folder} makes a run of it"
    if (folder / "config.json").is_file():
        return f"it is a checkpoint of transformers: zoo import {folder} OUT makes a folder of it that can be used"
    homes = {folder.parent, RUNS_FOLDER} if folder.parent == Path() else {folder.parent}
    runs = [str(file.parent) for home in homes for file in home.glob(f"*/{SPEC_FILE}")]
    return suggest(str(folder), runs) if runs else f"zoo train SPEC --out {folder} makes one"


def require(
    run: RunSpec, *keys: str, why: str, how: Callable[[RunSpec, str], str] = lambda run, key: ""
) -> None:
    """Raises: SpecError naming the sections that a run goes without but needs for this, each with how to give it.

    generation is needed of a task whose answers are searched for only, and where there is none of a model that writes.
    """
    searches = run.task.searches if isinstance(run.task, TaskSpec) else run.writes
    needed = [key for key in keys if key != "generation" or searches]
    missing = [key for key in needed if getattr(run, key) is None]
    if missing:
        raise SpecError(
            [
                Problem(key, f"missing key; a spec may go without it, but not to {why}{how(run, key)}")
                for key in missing
            ]
        )
