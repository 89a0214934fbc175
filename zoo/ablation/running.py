"""Doing what a plan says: each training in a process of its own, one owner a run, and on from where a kill left it.

A training is `zoo train` of a spec, or `zoo resume` of its folder: what it gives is what a user gets by hand, and one
that fails, diverges or is killed costs itself. What became of it stands in a record beside it.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from registry import dump
from zoo.ablation.kept import keep
from zoo.ablation.plan import Plan, Trial
from zoo.errors import PreemptedError, RunError
from zoo.run.spec import to_yaml
from zoo.storage.files import write_text
from zoo.storage.hashing import sha256_of_json
from zoo.storage.metrics import read as read_metrics
from zoo.storage.ownership import owned
from zoo.storage.records import read_json, write_record
from zoo.storage.selection import last_step

Status = Literal["done", "diverged", "failed"]
RECORDS, SPECS, LOGS = "trials", "specs", "logs"
_CODES: dict[int, Status] = {0: "done", 4: "diverged"}
_STOPPED = {130, 143, -signal.SIGINT, -signal.SIGTERM, -signal.SIGHUP}


@dataclass(frozen=True)
class Outcome:
    """What became of a training."""

    status: Status
    reason: str
    """What it said last, of one that is not done."""
    spec: str
    """SHA-256 of the spec it was trained by."""


def outcome(folder: Path, trial: Trial) -> Outcome | None:
    """What became of a trial of the ablation in `folder`; None where it has not ended."""
    file = record_of(folder, trial)
    if not file.exists():
        return None
    found = read_json(file)
    try:
        return Outcome(found["status"], str(found["reason"]), str(found["spec"]))
    except KeyError as error:
        raise RunError(f"{file}: damaged: it has no {error}") from None


def record_of(folder: Path, trial: Trial) -> Path:
    """The file that says what became of a trial."""
    return folder / RECORDS / trial.place.relative_to("runs").with_suffix(".json")


def run_plan(
    plan: Plan, folder: Path, *, plugins: Sequence[Path] = (), jobs: int = 1, report: Any = None
) -> None:
    """Trains what has not been trained yet: what tuning tries, then all variants, seed by seed.

    jobs trainings run side by side, each on a GPU of its own in turn where there are any. report is called with each
    trial as it starts, and with its Outcome as it ends.
    Raises: RunError for a folder that another process works in, or that holds a run of another spec;
        PreemptedError and KeyboardInterrupt, when all trainings have saved.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with owned(folder):
        for trial in plan.tuning or plan.trials:
            _has_ended(plan, folder, trial)  # what another ablation's folder says of itself stays
        keep(plan, folder, plugins=plugins)
        for trials in (plan.tuning, plan.trials):
            _run_all(plan, folder, trials, plugins=plugins, jobs=jobs, report=report or (lambda *_: None))


def chosen(plan: Plan, folder: Path, variant: str) -> tuple[str, ...]:
    """What tuning has found to be a variant's best, as overrides; nothing without tuning.

    The best is the one with the best validation at its last step; one that diverged is none.
    Raises: RunError where none was trained to its end.
    """
    tried = [trial for trial in plan.tuning if trial.variant == variant]
    if not tried:
        return ()
    losses = {trial.tried: _last_loss(folder, trial) for trial in tried}
    best = min(losses, key=lambda words: losses[words])
    if math.isinf(losses[best]):
        raise RunError(f"{variant}: no value that was tried could be trained to its end")
    return best


def _last_loss(folder: Path, trial: Trial) -> float:
    found = outcome(folder, trial)
    if found is None or found.status != "done":
        return math.inf
    losses = [each["loss"] for each in read_metrics(folder / trial.place) if each["kind"] == "validation"]
    value = losses[-1] if losses else None
    return float(value) if isinstance(value, int | float) else math.inf


def _run_all(
    plan: Plan, folder: Path, trials: Sequence[Trial], *, plugins: Sequence[Path], jobs: int, report: Any
) -> None:
    waiting = [trial for trial in trials if not _has_ended(plan, folder, trial)]
    stop = _Stop()
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        running: dict[Future[Outcome | None], Trial] = {}
        slots = list(range(jobs))
        try:
            while waiting or running:
                while waiting and slots:
                    trial, slot = waiting.pop(0), slots.pop(0)
                    report(trial, None)
                    train = partial(_trained, plan, folder, trial, plugins, slot=slot, jobs=jobs, stop=stop)
                    future = pool.submit(train)
                    future.slot = slot  # type: ignore[attr-defined]
                    running[future] = trial
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    slots.append(future.slot)  # type: ignore[attr-defined]
                    trial, found = running.pop(future), future.result()
                    if found is None:
                        raise PreemptedError("told to end, and saved; the same command goes on")
                    report(trial, found)
        except BaseException:
            stop.all()
            raise


def _has_ended(plan: Plan, folder: Path, trial: Trial) -> bool:
    """Whether nothing is left of a trial. Raises: RunError where it was trained by another spec."""
    found = outcome(folder, trial)
    if found is None:
        return False
    if found.spec != _digest(plan, folder, trial):
        raise RunError(
            f"{folder / trial.place}: was trained by another spec ({trial.name}); give another --out, or remove that "
            f"run and {record_of(folder, trial)}"
        )
    return found.status != "failed"  # one that failed is tried again: the cause may be gone


def _planned(plan: Plan, folder: Path, trial: Trial) -> Any:
    return plan.run(trial, () if trial.tried else chosen(plan, folder, trial.variant))


def _digest(plan: Plan, folder: Path, trial: Trial) -> str:
    return sha256_of_json(dump(_planned(plan, folder, trial)))


def _trained(
    plan: Plan, folder: Path, trial: Trial, plugins: Sequence[Path], *, slot: int, jobs: int, stop: _Stop
) -> Outcome | None:
    """Trains one trial to its end; None where it was told to stop before."""
    run, place = _planned(plan, folder, trial), folder / trial.place
    if last_step(place):
        words = ["resume", str(place)]
    else:
        file = (folder / SPECS / trial.place.relative_to("runs")).with_suffix(".yaml")
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, to_yaml(run))
        words = ["train", str(file), "--out", str(place)]
        place.parent.mkdir(parents=True, exist_ok=True)
    for plugin in plugins:
        words += ["--plugin", str(plugin)]
    log = (folder / LOGS / trial.place.relative_to("runs")).with_suffix(".log")
    log.parent.mkdir(parents=True, exist_ok=True)
    code = stop.call([sys.executable, "-m", "zoo.cli.main", *words, "--quiet"], log, _environment(slot, jobs))
    if code in _STOPPED or stop.is_asked:
        return None
    status = _CODES.get(code, "failed")
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    reason = "" if status == "done" else (lines[-1] if lines else f"exit code {code}, without a word")
    found = Outcome(status, reason, _digest(plan, folder, trial))
    file = record_of(folder, trial)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_record(file, {"variant": trial.variant, "seed": trial.seed, "run": str(trial.place), **vars(found)})
    return found


def _environment(slot: int, jobs: int) -> dict[str, str]:
    """Of a training that is one of several side by side: its own GPU, its share of the cores."""
    found = dict(os.environ)
    if jobs == 1:
        return found
    gpus = found.get("CUDA_VISIBLE_DEVICES", "").split(",") if "CUDA_VISIBLE_DEVICES" in found else _gpus()
    if gpus and gpus != [""]:
        found["CUDA_VISIBLE_DEVICES"] = gpus[slot % len(gpus)]
    found.setdefault("OMP_NUM_THREADS", str(max(1, len(os.sched_getaffinity(0)) // jobs)))
    return found


def _gpus() -> list[str]:
    import torch

    return [str(i) for i in range(torch.cuda.device_count())]


class _Stop:
    """The processes under way, to be told to end."""

    def __init__(self) -> None:
        self.is_asked = False
        self._processes: set[subprocess.Popen[bytes]] = set()

    def call(self, words: Sequence[str], log: Path, environment: dict[str, str]) -> int:
        """The exit code of a command, whose output goes to a file."""
        if self.is_asked:
            return 143
        with log.open("ab") as stream:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,  # a key that interrupts reaches us alone, and we tell them
                preexec_fn=_end_with_parent if sys.platform == "linux" else None,
            )
            self._processes.add(process)
            try:
                return process.wait()
            finally:
                self._processes.discard(process)

    def all(self) -> None:
        """Tells every process to save and end, and waits for it."""
        self.is_asked = True
        for process in list(self._processes):
            process.terminate()
        while self._processes:
            time.sleep(0.05)


def _end_with_parent() -> None:
    import ctypes

    set_death_signal = 1  # PR_SET_PDEATHSIG
    ctypes.CDLL(None).prctl(set_death_signal, signal.SIGTERM)
