"""Which of a run's checkpoints is meant, and its weights. Needs no lightning: a fast start."""

from __future__ import annotations

import re
from pathlib import Path

from torch import Tensor

from zoo.errors import RunError
from zoo.storage.checkpoints import CHECKPOINTS_FOLDER, Checkpoints


def weights_folder(folder: Path, which: str | int = "result") -> Path:
    """A checkpoint's folder within a run's: `last`, `best`, `average`, a step (2 or `step-2`), or `result`.

    The result is the average where the run made one, else the best, else the last.
    Raises: RunError when the run has none such.
    """
    checkpoints = Checkpoints(folder / CHECKPOINTS_FOLDER)
    if step := re.fullmatch(r"(?:step-)?([0-9]+)", str(which)):
        return checkpoints.path(int(step[1]))
    index = checkpoints.index()
    wanted = ("average", "best", "last") if which == "result" else (which,)
    named = {**{path.name: path for path in index.values()}, **index}
    found = next((named[name] for name in wanted if name in named), None)
    if found is None:
        steps = (f"step-{step}" for step in checkpoints.steps())
        known = ", ".join(dict.fromkeys([*named, *steps]))
        if not known:
            raise RunError(f"{folder}: it has no checkpoint yet; zoo resume {folder} trains it to its first")
        raise RunError(f"{folder}: it has no checkpoint '{which}' (it has: {known})")
    return found


def last_step(folder: Path) -> int:
    """The step that a run's newest checkpoint was made at; 0 without any."""
    return max(Checkpoints(folder / CHECKPOINTS_FOLDER).steps(), default=0)


def load_weights(folder: Path, which: str | int = "result") -> dict[str, Tensor]:
    """The state dict of a checkpoint of a run, verified, on the CPU; tied names hold one tensor.

    Raises: RunError when there is none such; DamagedError, a RunError, when its bytes are not those written.
    """
    return Checkpoints(folder / CHECKPOINTS_FOLDER).weights(weights_folder(folder, which))
