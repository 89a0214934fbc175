"""What starts the trainings of an ablation: this machine, a Ray cluster, SLURM. Each runs the same process.

An engine is no more than the way to a machine: a training is one process, owns its run folder and records its own end,
so that one whose ablation was killed meanwhile is met again by the next start, wherever it runs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from registry import Problem, SpecError, suggest
from zoo.ablation.trial import Child, Job, Outcome, outcome, work, write_outcome
from zoo.errors import one_line
from zoo.run.spec import RunSpec

ENGINES = ("here", "ray", "slurm")
_AS_MANY_AS_IT_TAKES = 10**6
_A_DAY_MIN = 24 * 60
_MOST_TIMEOUTS = 1000


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


class Ray:
    """Tasks of a Ray cluster: of the one that `address` names, else of one that is started on this machine.

    options are those of ray.init. A task takes a core for itself and for each of training.data_workers, and a GPU for
    each of training.devices where the cluster has any.
    """

    restarts = True

    def __init__(self, jobs: int | None, options: Mapping[str, Any]) -> None:
        try:
            import ray
        except ImportError:
            raise _missing("ray", "ray") from None
        quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}
        is_joined = options.get("address") not in (None, "local")
        ray.init(**({"logging_level": "ERROR"} if is_joined else quiet), **options)
        self._ray: Any = ray
        self._work = ray.remote(work)
        self._has_gpus = bool(ray.cluster_resources().get("GPU"))
        self.n_slots = jobs or _AS_MANY_AS_IT_TAKES

    def submit(self, job: Job, run: RunSpec, slot: int) -> Handle:
        """Hands a training to the cluster, which starts it when there is room."""
        assert run.training is not None
        n_gpus = run.training.devices if self._has_gpus and run.training.accelerator != "cpu" else 0
        task = self._work.options(num_cpus=1 + run.training.data_workers, num_gpus=n_gpus)
        return _RayTask(self._ray, task.remote(job), job)

    def close(self) -> None:
        """Leaves the cluster; one that was started here ends."""
        self._ray.shutdown()


class _RayTask:
    def __init__(self, ray: Any, reference: Any, job: Job) -> None:
        self._ray, self._reference, self._job = ray, reference, job

    def done(self) -> bool:
        return bool(self._ray.wait([self._reference], timeout=0)[0])

    def result(self) -> Outcome | None:
        try:
            found: Outcome | None = self._ray.get(self._reference)
        except self._ray.exceptions.RayError as error:
            return lost(self._job, error)
        return found

    def cancel(self) -> None:
        self._ray.cancel(self._reference, force=True)  # its process dies, of which the training is told


class Slurm:
    """Jobs of SLURM by submitit; one that its time or the cluster ends saves, is queued again, and goes on.

    options are submitit's, such as slurm_partition, timeout_min, gpus_per_node and mem_gb; cluster: local runs the same
    jobs on this machine.
    """

    restarts = True

    def __init__(self, jobs: int | None, options: Mapping[str, Any], folder: Path) -> None:
        try:
            import submitit
        except ImportError:
            raise _missing("submitit", "slurm") from None
        own = dict(options)
        cluster = own.pop("cluster", "slurm")
        try:
            self._executor = submitit.AutoExecutor(
                folder=folder, cluster=cluster, slurm_max_num_timeout=_MOST_TIMEOUTS
            )
            self._executor.update_parameters(**{"timeout_min": _A_DAY_MIN, "name": "zoo", **own})
        except (AssertionError, NameError, RuntimeError, ValueError) as error:
            raise SpecError([Problem("engine slurm", one_line(error))]) from None
        self._errors: Any = (submitit.core.utils.UncompletedJobError, submitit.core.utils.FailedJobError)
        self.n_slots = jobs or _AS_MANY_AS_IT_TAKES

    def submit(self, job: Job, run: RunSpec, slot: int) -> Handle:
        """Queues a training."""
        return _SlurmJob(self._executor.submit(_Requeued(), job), job, self._errors)

    def close(self) -> None:
        """Jobs that are queued or run belong to SLURM."""


class _Requeued:
    """A training as submitit calls it, and queues it again."""

    def __call__(self, job: Job) -> Outcome | None:
        return work(job)

    def checkpoint(self, job: Job) -> Any:
        """The same again: what was trained lies in the run folder."""
        import submitit

        return submitit.helpers.DelayedSubmission(self, job)


class _SlurmJob:
    def __init__(self, submitted: Any, job: Job, errors: Any) -> None:
        self._submitted, self._job, self._errors = submitted, job, errors

    def done(self) -> bool:
        return bool(self._submitted.done())

    def result(self) -> Outcome | None:
        try:
            found: Outcome | None = self._submitted.result()
        except self._errors as error:
            return lost(self._job, error)
        return found

    def cancel(self) -> None:
        self._submitted.cancel(check=False)


def check_engine(name: str) -> None:
    """Raises: SpecError for a name that is none."""
    if name not in ENGINES:
        raise SpecError([Problem("", f"no engine is called '{name}'; {suggest(name, ENGINES, listed=True)}")])


def make_engine(name: str, folder: Path, *, jobs: int | None, options: Mapping[str, Any]) -> Engine:
    """The engine of a name, for an ablation in a folder. Raises: SpecError."""
    check_engine(name)
    if name == "here" and options:
        raise SpecError([Problem("", f"engine here has no options (given: {', '.join(options)})")])
    if name == "here":
        return Here(jobs or 1)
    return Ray(jobs, options) if name == "ray" else Slurm(jobs, options, folder / "slurm")


def lost(job: Job, error: BaseException) -> Outcome:
    """What became of a training whose engine lost it: what it recorded itself, else that it failed."""
    found = outcome(job.folder, job.trial)
    if found is None:
        found = Outcome("failed", f"the engine lost it: {one_line(error)}")
        write_outcome(job.folder, job.trial, found)
    return found


def _missing(package: str, extra: str) -> SpecError:
    message = f"the package {package} is not installed: pip install 'architecture-zoo[{extra}]'"
    return SpecError([Problem("", message)])


def _n_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _gpus() -> list[str]:
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return [each for each in os.environ["CUDA_VISIBLE_DEVICES"].split(",") if each]
    import torch

    return [str(i) for i in range(torch.cuda.device_count())]
