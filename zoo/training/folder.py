"""A run's folder as training finds and leaves it: free, or that of the same run; its spec, as far as it is settled."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import presets
from registry import Spec, dump, parse
from zoo.data.coder import STEMS
from zoo.errors import RunError
from zoo.storage import files
from zoo.storage.checkpoints import CHECKPOINTS_FOLDER, Checkpoints
from zoo.storage.files import SPEC_FILE
from zoo.storage.metrics import METRICS_FILE
from zoo.training.making import Run
from zoo.training.settling import with_training
from zoo.training.spec import TrainingSpec


def refuse_used_folder(folder: Path) -> None:
    """Raises: RunError for a folder that holds a run, or something else. Clears what a failed attempt left."""
    journal = folder / METRICS_FILE
    if Checkpoints(folder / CHECKPOINTS_FOLDER).steps() or (journal.exists() and journal.stat().st_size):
        raise RunError(f"{folder}: holds a run already; resume it, or choose another folder")
    # Hidden files are the lock, what a kill left of spec.yaml, and what file managers strew about.
    others = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    if others and SPEC_FILE not in others:
        raise RunError(f"{folder}: no run, but not empty: it holds {others[0]}; choose another folder")
    for leftover in (path for path in folder.iterdir() if path.name.startswith(STEMS)):
        leftover.unlink()  # of an attempt that failed before its first step, perhaps on other text


def write_spec(folder: Path, run: Run) -> None:
    """Writes spec.yaml. Raises: RunError when it cannot be written."""
    files.write_text(folder / SPEC_FILE, presets.to_yaml(dump(cast(Spec, run))))


def enter(folder: Path, *, is_new: bool) -> None:
    """Makes the folder of a new run; that of another must be there."""
    if is_new:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{folder}: cannot be made: {error.strerror}") from error
    elif not (folder / SPEC_FILE).is_file():
        raise RunError(f"{folder}: no run to resume here: there is no {SPEC_FILE}")


def settled_in(folder: Path, run: Run) -> Run:
    """A run as its first process has settled it, which wrote that down before it started the others."""
    training = parse(TrainingSpec, presets.read(folder / SPEC_FILE).data["training"], path="training")
    return with_training(run, precision=training.precision, schedule=training.schedule)
