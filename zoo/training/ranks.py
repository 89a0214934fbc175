"""Which of a training's processes this one is, and what the others wait for. Needs no lightning."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from registry import Problem, SpecError
from zoo.errors import RunError

READY_FILE = ".ready"
_RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID")
"""Variables of torchrun, of SLURM and of Lightning, all 0 or not there in the first process of all."""


def is_first_process(n_ranks: int | None = None) -> bool:
    """False in the further processes of a training on several devices, which run the same command.

    n_ranks is how many there are, None where only a Trainer knows: each of one is the first, even if SLURM has started
    many of such trainings at once.
    """
    return n_ranks == 1 or all(os.environ.get(variable, "0") == "0" for variable in _RANKS)


def check_restartable(n_devices: int) -> None:
    """Raises: SpecError for several devices where the program cannot be started again for each, being no file."""
    main = sys.modules["__main__"]
    is_started_for_us = "LOCAL_RANK" in os.environ or "SLURM_PROCID" in os.environ
    can_start = getattr(main, "__spec__", None) is not None or Path(sys.argv[0]).is_file()
    if n_devices > 1 and not is_started_for_us and not can_start:
        message = (
            f"{n_devices} devices are {n_devices} processes, each of which runs this program, but it is no file that "
            "can be started again: put it into one, or use `zoo train`"
        )
        raise SpecError([Problem("training.devices", message)])


@contextmanager
def prepared_first(folder: Path, *, is_first: bool) -> Iterator[None]:
    """Around the preparation of a run: in all but the first process it begins when that of the first one is done.

    Lightning starts the others later than that; torchrun and SLURM start all at once, on several nodes of one file
    system. When all have met, `all_are_here` takes the mark away, so that it says nothing of a later start.
    Raises: RunError where the folder goes again, for the first process found that it cannot train.
    """
    ready = folder / READY_FILE
    if is_first:
        all_are_here(folder)
        yield
        ready.touch()
        return
    was_there = folder.is_dir()
    while not ready.exists():
        if was_there and not folder.is_dir():
            raise RunError(f"{folder}: the first process has given this run up")
        was_there = folder.is_dir()
        time.sleep(0.1)
    yield


def all_are_here(folder: Path) -> None:
    """Takes away what others have waited for."""
    (folder / READY_FILE).unlink(missing_ok=True)
