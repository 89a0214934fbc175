"""Trains the toy in a child process again and again, killing it with SIGKILL; prints the finished runs.

    killing.py calls FOLDER FIRST STRIDE   kills a run at its FIRST, FIRST + STRIDE, ... change of the disk
    killing.py times FOLDER N SEED         kills N times at random, resuming a run until it is done

Forking a process that has imported everything makes a trial a fraction of a second. No other thread runs
then: told to use one thread, torch starts none.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import toy

from zoo.storage import checkpoints, files
from zoo.training.fit import fit

RUN: dict[str, Any] = {"average_last": 2, "accumulate": 2, "keep_checkpoints": 2}


def killed_at(call: int) -> None:
    """Makes the process kill itself before (odd) or after (even) one of its calls that change the disk."""
    count = 0

    def counted(original: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            count += 1
            if count == call:
                os.kill(os.getpid(), signal.SIGKILL)
            result = original(*args, **kwargs)
            count += 1
            if count == call:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return counting

    files.sync = counted(files.sync)
    places: list[tuple[Any, str]] = [(checkpoints, "write_weights"), (torch, "save"), (os, "rmdir")]
    places += [(Path, name) for name in ("mkdir", "rename", "replace", "unlink")]
    for owner, name in places:
        setattr(owner, name, counted(getattr(owner, name)))


def trial(folder: Path, *, prepare: Callable[[], None], kill_after: float | None = None) -> bool:
    """Trains or resumes in a child; whether it came to its end."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            prepare()
            fit(toy.toy_run(**RUN), folder, resume=(folder / "spec.yaml").exists(), progress=False)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return False
    if os.WEXITSTATUS(status):
        print(f"{folder}: failed", flush=True)
        sys.exit(1)
    return True


def slowly() -> None:
    """Makes saving take about as long as training, so that random kills meet it often."""
    original = files.sync

    def sync(path: Path) -> None:
        time.sleep(0.002)
        original(path)

    files.sync = sync


def main() -> None:
    torch.set_num_threads(1)
    toy.toy_run(**RUN)  # loads all components, once
    kind, folder = sys.argv[1], Path(sys.argv[2])
    if kind == "calls":
        call, stride = int(sys.argv[3]), int(sys.argv[4])
        while not trial(folder / f"call-{call}", prepare=partial(killed_at, call)):
            assert trial(folder / f"call-{call}", prepare=lambda: None)
            print(f"call-{call}", flush=True)
            call += stride
    else:
        n, generator = int(sys.argv[3]), random.Random(int(sys.argv[4]))
        number = 0
        while n > 0:
            # Never longer than a whole run takes, so that nearly every child is killed.
            if trial(folder / f"run-{number}", prepare=slowly, kill_after=generator.uniform(0.0, 0.35)):
                print(f"run-{number}", flush=True)
                number += 1
            else:
                n -= 1
        trial(folder / f"run-{number}", prepare=lambda: None)
        print(f"run-{number}", flush=True)


if __name__ == "__main__":
    main()
