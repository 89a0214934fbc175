"""What starts the trainings of an ablation: this machine, a Ray cluster, SLURM. Each runs the same process.

An engine is no more than the way to a machine: a training is one process, owns its run folder and records its own end,
so that one whose ablation was killed meanwhile is met again by the next start, wherever it runs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Protocol

from zoo.ablation.trial import Child, Job, Outcome, work
from zoo.run.spec import RunSpec


class Handle(Protocol):
    """A training that was handed to an engine."""

    def done(self) -> bool:
        """Whether it has ended, one way or another."""

    def result(self) -> Outcome | None:
        """What became of it; None where it was told to end before it was done. Only once it is done."""

    def cancel(self) -> None:
        """Tells it to save and end."""


class Engine(Protocol):
    """Where trainings run."""

    n_slots: int
    """How many are handed over at a time."""
    restarts: bool
    """Whether one that was told to end by others than us is handed over again, as where a cluster preempts."""

    def submit(self, job: Job, run: RunSpec, slot: int) -> Handle:
        """Starts a training, or has it wait for its turn."""

    def close(self) -> None:
        """Lets go of what the engine holds."""


class Here:
    """Processes of this machine, side by side, each on GPUs of its own in turn where there are any.

    Several share the cores: a number of threads decides the last bits of a sum, so it is the same for all trainings of
    one number of jobs only.
    """

    restarts = False

    def __init__(self, jobs: int = 1) -> None:
        self.n_slots = jobs
        self._pool = ThreadPoolExecutor(max_workers=jobs)

    def submit(self, job: Job, run: RunSpec, slot: int) -> Handle:
        """Starts a training in a slot's share of the machine."""
        child = Child()
        job = replace(job, environment=self._environment(run, slot))
        return _Local(child, self._pool.submit(work, job, child))

    def close(self) -> None:
        """Ends the threads that wait for processes."""
        self._pool.shutdown()

    def _environment(self, run: RunSpec, slot: int) -> Mapping[str, str]:
        if self.n_slots == 1:
            return {}
        found = {}
        assert run.training is not None
        gpus = _gpus()
        if gpus:
            n = run.training.devices
            own = [gpus[(slot * n + i) % len(gpus)] for i in range(min(n, len(gpus)))]
            found["CUDA_VISIBLE_DEVICES"] = ",".join(own)
        if "OMP_NUM_THREADS" not in os.environ:
            found["OMP_NUM_THREADS"] = str(max(1, _n_cores() // self.n_slots))
        return found


class _Local:
    def __init__(self, child: Child, future: Future[Outcome | None]) -> None:
        self._child, self._future = child, future

    def done(self) -> bool:
        return self._future.done()

    def result(self) -> Outcome | None:
        return self._future.result()

    def cancel(self) -> None:
        self._child.stop()


def _n_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _gpus() -> list[str]:
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return [each for each in os.environ["CUDA_VISIBLE_DEVICES"].split(",") if each]
    import torch

    return [str(i) for i in range(torch.cuda.device_count())]
