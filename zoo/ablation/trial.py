"""One training of an ablation as a process, wherever an engine starts it, and what became of it.

A training is `zoo train` of a spec, or `zoo resume` of its folder: what it gives is what a user gets by hand, and one
that fails, diverges or is killed costs itself. What became of it stands in a record in the ablation's folder.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast

from zoo.ablation.plan import Trial
from zoo.storage.files import SPEC_FILE
from zoo.storage.ownership import is_owned
from zoo.storage.records import read_record, write_record

Status = Literal["done", "diverged", "failed"]
RECORDS, SPECS, LOGS = "trials", "specs", "logs"
_CODES: dict[int, Status] = {0: "done", 4: "diverged"}
_STOPPED = {130, 143, -signal.SIGINT, -signal.SIGTERM, -signal.SIGHUP}
_POLL_S = 0.2

# A process that outlives its parent would go on by itself. The request is the kernel's and made before Python starts
# anew: code between fork and exec is not safe where other threads run.
_LAUNCHER = (
    "import ctypes, os, signal, sys\n"
    "if sys.platform == 'linux': ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG\n"
    "signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # by which submitit tells a job's first process, and all of them\n"
    "if os.getppid() != int(sys.argv[1]): sys.exit(143)\n"
    "os.execv(sys.argv[2], sys.argv[2:])\n"
)


@dataclass(frozen=True)
class Outcome:
    """What became of a training."""

    status: Status
    reason: str = ""
    """What it said last, of one that is not done."""


@dataclass(frozen=True)
class Job:
    """A training that is to be done: all that a process needs to know of it, on whatever machine of one file system."""

    folder: Path
    """The ablation's, whole."""
    trial: Trial
    plugins: tuple[Path, ...] = ()
    """Files that register components, whole."""
    directory: Path = field(default_factory=Path.cwd)
    """What the spec's paths start from."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables besides those of the process that starts it."""


def record_of(folder: Path, trial: Trial) -> Path:
    """The file that says what became of a trial."""
    return file_of(folder, RECORDS, trial, ".json")


def file_of(folder: Path, kind: str, trial: Trial, ending: str) -> Path:
    """A trial's file of a kind, in a tree of folders like that of the runs."""
    place = folder / kind / trial.place.relative_to("runs")
    return place.with_name(place.name + ending)  # with_suffix would take the digits of lr=0.001 for one


def outcome(folder: Path, trial: Trial) -> Outcome | None:
    """What became of a trial of the ablation in `folder`; None where it has not ended."""
    file = record_of(folder, trial)
    if not file.exists():
        return None
    return read_record(file, lambda found: Outcome(cast(Status, found["status"]), str(found["reason"])))


def write_outcome(folder: Path, trial: Trial, found: Outcome) -> None:
    """Says what became of a trial, for good."""
    file = record_of(folder, trial)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_record(file, {"variant": trial.variant, "seed": trial.seed, "run": str(trial.place), **vars(found)})


def work(job: Job, child: Child | None = None) -> Outcome | None:
    """Trains one trial to its end and records that; None where it was told to stop before.

    Where another process still trains it, as that of an ablation that was killed does until it has saved, its end is
    waited for.
    """
    child = child or Child()
    place = job.folder / job.trial.place
    place.parent.mkdir(parents=True, exist_ok=True)
    log = file_of(job.folder, LOGS, job.trial, ".log")
    log.parent.mkdir(parents=True, exist_ok=True)
    plugins = [word for plugin in job.plugins for word in ("--plugin", str(plugin))]
    while True:
        while is_owned(place) and not child.is_stopped:
            time.sleep(_POLL_S)
        spec = file_of(job.folder, SPECS, job.trial, ".yaml")
        is_there = (place / SPEC_FILE).exists()
        words = ["resume", str(place)] if is_there else ["train", str(spec), "--out", str(place)]
        start = log.stat().st_size if log.exists() else 0
        code = child.run([*words, *plugins, "--quiet"], log, job)
        if code in _STOPPED or child.is_stopped:
            return None
        if code == 0 or not is_owned(place):  # else another one was faster
            break
    with log.open("rb") as stream:
        stream.seek(start)
        found = Outcome(_CODES.get(code, "failed"), _reason(code, stream.read()))
    write_outcome(job.folder, job.trial, found)
    return found


def _reason(code: int, output: bytes) -> str:
    if code == 0:
        return ""
    lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    last = lines[-1] if lines else ""
    if code > 0:
        return last or f"exit code {code}, without a word"
    name = signal.Signals(-code).name
    cause = ", as the system does where memory is short" if -code == signal.SIGKILL else ""
    return f"killed by {name}{cause}" + (f"; its last words: {last}" if last else "")


class Child:
    """A process `zoo ...` that is told to save and end when we are, and when we die."""

    def __init__(self) -> None:
        self.is_stopped = False
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, words: list[str], log: Path, job: Job) -> int:
        """The exit code of a command, whose output goes to the end of a file; a negative one is a signal's number."""
        if self.is_stopped:
            return 143
        # A process of its own is no rank of the step of SLURM that started it.
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("SLURM_")}
        command = [sys.executable, "-m", "zoo.cli.main", *words]
        with log.open("ab") as stream:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid()), *command],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                cwd=job.directory,
                env={**inherited, **job.environment},
                start_new_session=True,  # a key that interrupts reaches us alone, and we tell it
            )
        try:
            if self.is_stopped:  # told so while it was started
                self._process.terminate()
            while (code := self._process.poll()) is None:
                time.sleep(_POLL_S)  # and not in `wait`, out of which a Ray task is not woken
            return code
        except BaseException:
            self.stop()
            self._process.wait()
            raise

    def stop(self) -> None:
        """Tells it to save and end, now or when it starts."""
        self.is_stopped = True
        if self._process is not None:
            self._process.terminate()
