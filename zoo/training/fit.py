"""Trains a run in its folder, from the start or from its newest checkpoint."""

from __future__ import annotations

import ctypes
import logging
import signal
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from lightning.fabric.plugins.environments import SLURMEnvironment
from lightning.pytorch import Trainer
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from torch.utils.data import DataLoader

import presets
from registry import Spec, dump
from zoo.assembly.build import build
from zoo.errors import RunError
from zoo.kinds import SCHEDULE, TASK
from zoo.tasks.task import Starts, Task
from zoo.training import files
from zoo.training.averaging import average
from zoo.training.checkpoints import Checkpoints
from zoo.training.devices import check_devices, compile_layers, torch_settings
from zoo.training.display import Display
from zoo.training.environment import record_environment
from zoo.training.identity import check_identity, identity
from zoo.training.journal import METRICS_FILE, Journal, read
from zoo.training.keeper import Keeper
from zoo.training.module import TrainingModule
from zoo.training.order import Batches, Position, RankSampler
from zoo.training.ownership import owned
from zoo.training.plugins import record_plugins
from zoo.training.progress import Progress
from zoo.training.quiet import quiet_lightning
from zoo.training.randomness import seed_all, untouched
from zoo.training.selection import CHECKPOINTS_FOLDER, weights_folder
from zoo.training.signals import SIGNALS, StopRequest
from zoo.training.spec import TrainingSpec

SPEC_FILE = "spec.yaml"
PRECISIONS = {"fp32": "32-true", "bf16-mixed": "bf16-mixed"}  # our names to Lightning's

_PR_SET_PDEATHSIG = 1  # of <linux/prctl.h>: the signal to get when the parent dies

log = logging.getLogger(__name__)


class Run(Protocol):
    """The parts of a run's spec that training reads; the whole is a Spec."""

    @property
    def model(self) -> Any: ...
    @property
    def task(self) -> Spec: ...
    @property
    def training(self) -> TrainingSpec: ...
    @property
    def generation(self) -> Spec: ...


@dataclass(frozen=True)
class TrainingResult:
    """How a training ended."""

    folder: Path
    step: int
    """Optimizer steps taken."""
    minutes: float
    """Time spent training, over all resumes."""
    best_step: int | None
    n_skipped: int
    """Steps skipped because their gradient was not finite."""
    validation: dict[str, Any]
    """The record of the last validation in metrics.jsonl."""
    weights: Path
    """The checkpoint that counts as the result: the average if one was asked for, else the best."""


def fit(run: Run, folder: Path, *, resume: bool, progress: bool = True) -> TrainingResult:
    """Trains until max_steps or max_minutes, and averages the last checkpoints if the spec says so.

    With resume, goes on from the newest intact checkpoint, or from the start if there is none yet; a run that
    is done is only given back. On a CPU the result equals that of a run never interrupted, bit for bit.
    progress shows a bar on a terminal, and elsewhere a line now and then.
    Raises: RunError where the folder is in use, holds another run, or cannot be written or read; SpecError
        for a device that is not there; DataError from the task; DivergedError; PreemptedError after a SIGTERM
        and KeyboardInterrupt after a SIGINT, both after saving.
    """
    stop = StopRequest.of_process or StopRequest()
    # With several devices, Lightning starts the other processes by running the same command again.
    is_first = run.training.devices == 1 or getattr(rank_zero_only, "rank", 0) == 0
    with stop.listening(), untouched(), quiet_lightning(), torch_settings(run.training):
        check_devices(run.training)
        _enter(folder, is_new=is_first and not resume)
        with owned(folder) if is_first else nullcontext():
            session = _Session(run, folder, is_first=is_first, is_new=is_first and not resume)
            result = session.train(stop, progress=progress)
    stop.raise_if_received()
    return result


class _Session:
    """One process's part in a run, from opening its folder to the result."""

    def __init__(self, run: Run, folder: Path, *, is_first: bool, is_new: bool) -> None:
        self.run = run
        self.spec = run.training
        self.folder = folder
        self.is_first = is_first
        self.checkpoints = Checkpoints(folder / CHECKPOINTS_FOLDER)
        if is_new:
            self._refuse_used_folder()
            self._write_spec()
            record_plugins(folder, dump(cast(Spec, run)))
        if is_first:
            self.checkpoints.open()
            files.sweep(folder)
        task: Task = TASK.build(run.task)
        self.task = task.prepare(
            model=run.model,
            folder=folder,
            tokens_per_batch=self.spec.tokens_per_batch,
            seed=self.spec.seed,
            # A run that was killed while it was prepared has no tokenizer to find yet.
            is_resumed=not is_first or bool(self.checkpoints.steps()),
        )
        self.identity = identity(cast(Spec, run), self.task.fingerprint)
        self.state = self._newest_state()
        self.progress = Progress.load(self.state["progress"]) if self.state else Progress()
        if is_first and not is_new:
            self._write_spec()

    def train(self, stop: StopRequest, *, progress: bool) -> TrainingResult:
        """Runs Lightning's loop over the steps that are left, then averages the last checkpoints."""
        batches = Batches(self.task)
        journal = self._open_journal() if self.is_first else None
        try:
            with Display(is_shown=progress and self.is_first, max_steps=self.spec.max_steps) as display:
                keeper = Keeper(
                    task=self.task,
                    spec=self.spec,
                    decoding=self.run.generation,
                    order=batches.order,
                    progress=self.progress,
                    resumed=self.state,
                    identity=self.identity,
                    checkpoints=self.checkpoints,
                    journal=journal,
                    stop=stop,
                    display=display,
                )
                trainer = self._trainer(keeper)
                if self.is_first:
                    record_environment(
                        self.folder,
                        device=trainer.strategy.root_device,
                        n_devices=self.spec.devices,
                        resumed_step=self.progress.step if self.state else None,
                    )
                module = self._module()
                self.state = None  # the keeper's now, who drops it when it is used
                _run_trainer(trainer, module, self._loader(batches, trainer))
                if journal is not None:
                    journal.write_table()
        finally:
            if journal is not None:
                journal.close()
        if self.is_first and self.spec.average_last > 1 and stop.received is None:
            average(self.folder, self.spec.average_last)
        return self._result()

    # Before training

    def _refuse_used_folder(self) -> None:
        journal = self.folder / METRICS_FILE
        if self.checkpoints.steps() or (journal.exists() and journal.stat().st_size):
            raise RunError(f"{self.folder}: holds a run already; resume it, or choose another folder")
        # Hidden files are the lock, what a kill left of spec.yaml, and what file managers strew about.
        others = sorted(path.name for path in self.folder.iterdir() if not path.name.startswith("."))
        if others and SPEC_FILE not in others:
            raise RunError(
                f"{self.folder}: no run, but not empty: it holds {others[0]}; choose another folder"
            )
        for leftover in self.folder.glob("tokenizer*"):
            leftover.unlink()  # of an attempt that failed before its first step, perhaps on other text

    def _write_spec(self) -> None:
        path = self.folder / SPEC_FILE
        try:
            files.write_text(path, presets.to_yaml(dump(cast(Spec, self.run))))
        except OSError as error:
            raise RunError(f"{path}: cannot be written: {error.strerror}") from error

    def _newest_state(self) -> dict[str, Any] | None:
        """training.pt of the newest intact checkpoint, the damaged ones being set aside; None without any."""
        step, damage = self.checkpoints.newest_intact()
        if step is None:
            return None
        state = self.checkpoints.state(step)
        check_identity(state["identity"], self.identity)
        if self.is_first:
            for error, damaged in damage:
                log.warning("%s; going on from step %d, the newest intact one", error, step)
                self.checkpoints.set_aside(damaged)
        return state

    def _open_journal(self) -> Journal:
        start = self.state["journal_bytes"] if self.state else 0
        return Journal(self.folder, start=start, step=self.progress.step)

    # Lightning's pieces

    def _trainer(self, keeper: Keeper) -> Trainer:
        return Trainer(
            accelerator=self.spec.accelerator,
            devices=self.spec.devices,
            strategy="auto" if self.spec.devices == 1 else "ddp",
            precision=cast(Any, PRECISIONS[self.spec.precision]),
            accumulate_grad_batches=self.spec.accumulate,
            # One long epoch: the order of batches knows about real ones. The loader ends at max_steps.
            max_epochs=1,
            limit_train_batches=0.0 if keeper.is_done else 1.0,
            limit_val_batches=0.0,
            num_sanity_val_steps=0,
            callbacks=[keeper],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,  # the order of batches deals them out itself
            deterministic=self.spec.deterministic or None,
            default_root_dir=self.folder,
            # Under SLURM Lightning would look for checkpoints of its own and load them.
            plugins=[SLURMEnvironment(auto_requeue=False)] if SLURMEnvironment.detect() else None,
        )

    def _module(self) -> TrainingModule:
        seed_all(self.spec.seed, 0, 0)  # the same initial weights on every rank
        model = build(self.run.model)
        if self.progress.step:
            model.load_state_dict(self.checkpoints.weights(self.checkpoints.path(self.progress.step)))
        elif self.is_first and isinstance(self.task, Starts):
            self.task.start(model)  # DistributedDataParallel hands its weights to the other processes
        if self.spec.compile:
            compile_layers(model)
        schedule = SCHEDULE.build(
            self.spec.schedule, d_model=self.run.model.d_model, max_steps=self.spec.max_steps
        )
        return TrainingModule(
            model=model, task=self.task, spec=self.spec, schedule=schedule, progress=self.progress
        )

    def _loader(self, batches: Batches, trainer: Trainer) -> DataLoader[Any]:
        sampler = RankSampler(
            batches.order,
            Position(self.progress.epoch, self.progress.batch),
            n=max(self.spec.max_steps - self.progress.step, 0) * self.spec.accumulate,
            rank=trainer.global_rank,
            world_size=trainer.world_size,
        )
        return DataLoader(
            batches,
            sampler=sampler,
            batch_size=None,  # the task makes whole batches
            num_workers=self.spec.data_workers,
            worker_init_fn=_live_and_die_with_parent,
            pin_memory=trainer.strategy.root_device.type == "cuda",
            generator=torch.Generator(),  # else making the iterator draws from the generator of the dropout
        )

    # After training

    def _result(self) -> TrainingResult:
        validations = [record for record in read(self.folder) if record["kind"] == "validation"]
        return TrainingResult(
            folder=self.folder,
            step=self.progress.step,
            minutes=self.progress.seconds / 60,
            best_step=self.progress.best_step,
            n_skipped=self.progress.n_skipped,
            validation=validations[-1] if validations else {},
            weights=weights_folder(self.folder),
        )


def _enter(folder: Path, *, is_new: bool) -> None:
    """Makes the folder of a new run; that of another must be there."""
    if is_new:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{folder}: cannot be made: {error.strerror}") from error
    elif not (folder / SPEC_FILE).is_file():
        raise RunError(f"{folder}: no run to resume here: there is no {SPEC_FILE}")


def _run_trainer(trainer: Trainer, module: TrainingModule, loader: DataLoader[Any]) -> None:
    try:
        trainer.fit(module, train_dataloaders=loader)
    except SystemExit as error:
        # Lightning makes exit code 1 of a KeyboardInterrupt.
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from error
        raise


def _live_and_die_with_parent(worker: int) -> None:
    """A signal to the whole process group is for the main process, which ends its workers after saving."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    if sys.platform == "linux":  # else a worker looks for its parent every five seconds
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
