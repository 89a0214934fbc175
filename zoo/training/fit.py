"""Trains a run in its folder, from the start or from its newest checkpoint."""

from __future__ import annotations

import json
import logging
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch

from registry import Spec, dump
from zoo import hardware
from zoo.amounts import amount
from zoo.errors import RunError
from zoo.kinds import CALLBACK, LOGGER, TASK
from zoo.kinds.callback import WeightAverage
from zoo.progress import Bar, Report
from zoo.storage import files
from zoo.storage.averaging import average
from zoo.storage.checkpoints import CHECKPOINTS_FOLDER, Checkpoints
from zoo.storage.metrics import read
from zoo.storage.ownership import owned
from zoo.storage.selection import weights_folder
from zoo.tasks.prepared import PreparedTask, prepare
from zoo.training.data import TrainingData
from zoo.training.devices import torch_settings
from zoo.training.display import Display
from zoo.training.environment import record_environment
from zoo.training.folder import enter, refuse_used_folder, settled_in, write_spec
from zoo.training.identity import check_identity, identity
from zoo.training.journal import Journal
from zoo.training.keeper import Keeper
from zoo.training.making import Run, make_module, make_schedule, tell_loggers
from zoo.training.memory import is_out_of_memory
from zoo.training.module import TrainingModule
from zoo.training.order import Position
from zoo.training.plan import MOST_BATCHES, Plan, seconds_a_batch
from zoo.training.plugins import record_plugins
from zoo.training.progress import Progress
from zoo.training.quiet import quiet_lightning
from zoo.training.randomness import untouched
from zoo.training.ranks import check_restartable, is_first_process, prepared_first
from zoo.training.settling import (
    device_type,
    has_open_end,
    keep_end,
    settle_end,
    settle_precision,
)
from zoo.training.signals import StopRequest
from zoo.training.spec import TrainingSpec, averages_weights
from zoo.training.starting import take_coders
from zoo.training.trainer import make_trainer, run_trainer

LOGS_FOLDER = "logs"
"""Of the loggers that a spec names."""

log = logging.getLogger(__name__)


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


def fit(run: Run, folder: Path, *, resume: bool, progress: bool = True, opening: str = "") -> TrainingResult:
    """Trains until max_steps or max_minutes, and averages the last checkpoints if the spec says so.

    With resume, goes on from the newest intact checkpoint, or from the start if there is none yet; a run that
    is done is only given back. On a CPU the result equals that of a run never interrupted, bit for bit.
    progress shows a bar on a terminal, and elsewhere a line now and then; opening is a line of its own, shown when data
    and model are at hand and there are steps to take.
    Raises: RunError where the folder is in use, holds another run, or cannot be written or read; SpecError
        for a device that is not there; DataError from the task; DivergedError; PreemptedError after a SIGTERM
        and KeyboardInterrupt after a SIGINT, both after saving.
    """
    stop = StopRequest.of_process or StopRequest()
    # Of several processes, for Lightning, torchrun or SLURM starts the same command again for each.
    is_first = is_first_process(run.training.n_ranks)
    with stop.listening(), untouched(), quiet_lightning(), torch_settings(run.training):
        device_type(run.training)  # before anything is made
        check_restartable(run.training.devices)
        if is_first:
            enter(folder, is_new=not resume)
        with owned(folder) if is_first else nullcontext():
            with prepared_first(folder, is_first=is_first), Bar(is_shown=progress and is_first) as bar:
                session = _Session(run, folder, is_first=is_first, is_new=is_first and not resume, report=bar)
            result = session.train(stop, progress=progress, opening=opening)
    stop.raise_if_received()
    return result


def prepared(run: Run, folder: Path, *, is_resumed: bool, report: Report | None = None) -> PreparedTask:
    """The task of a run with its data at hand; see zoo.tasks.prepared."""
    return prepare(
        run.task,
        model=run.model,
        folder=folder,
        tokens_per_batch=run.training.tokens_per_batch,
        rows_per_batch=run.training.rows_per_batch,
        seed=run.training.seed,
        is_resumed=is_resumed,
        report=report,
    )


class _Session:
    """One process's part in a run, from opening its folder to the result."""

    def __init__(
        self, run: Run, folder: Path, *, is_first: bool, is_new: bool, report: Report | None = None
    ) -> None:
        asked = run.training.precision == "bf16-mixed" and is_first
        if asked and (cost := hardware.emulation_warning(device_type(run.training))):
            log.warning("%s", cost)
        self.run = settle_precision(run)[0] if is_first else settled_in(folder, run)
        self.folder = folder
        self.is_first = is_first
        self.checkpoints = Checkpoints(folder / CHECKPOINTS_FOLDER)
        if is_new:
            refuse_used_folder(folder)
            self._write_spec()
            record_plugins(folder, dump(cast(Spec, run)))
        if is_first:
            self.checkpoints.open()
            files.sweep(folder)
        source = self.run.training.init_from
        if source is not None and is_first and not self.checkpoints.steps():
            task: Any = run.task
            names = TASK.build(task, model=run.model, coders={}).coder_names
            tokenizer = getattr(getattr(task, "tokenizer", None), "type", None)
            take_coders(Path(source).expanduser(), folder, names, tokenizer=tokenizer)
        self.task = prepared(
            run,
            folder,
            # A run that was killed while it was prepared has no tokenizer to find yet.
            is_resumed=not is_first or bool(self.checkpoints.steps()),
            report=report,
        )
        self.state = self._newest_state()
        self.progress = Progress.load(self.state["progress"]) if self.state else Progress()
        if self.state is not None:
            self.run = keep_end(self.run, json.loads(self.state["identity"]["spec"])["training"])
            if self.spec.last_step < self.progress.step:
                raise RunError(
                    f"{folder}: this run has taken {amount(self.progress.step, 'step')} already, and "
                    f"{self.spec.last_step:,} are asked for: training.max_steps and a schedule's total_steps must be "
                    "above; nothing is changed"
                )
        if is_first and not is_new:
            self._write_spec()

    @property
    def spec(self) -> TrainingSpec:
        """The training section of the run's spec, as far as it is settled by now."""
        return self.run.training

    @property
    def identity(self) -> dict[str, str]:
        """What must not change between this and the next session."""
        return identity(cast(Spec, self.run), self.task.fingerprint)

    def train(self, stop: StopRequest, *, progress: bool, opening: str) -> TrainingResult:
        """Runs Lightning's loop over the steps that are left, then averages the last checkpoints."""
        module = self._module()
        data = TrainingData(self.task, self.spec, start=Position(self.progress.epoch, self.progress.batch))
        with Display(is_shown=progress and self.is_first, n_steps=self.spec.last_step) as display:
            self._plan(module, data, display, is_told=progress)
            data.n = max(self.spec.last_step - self.progress.step, 0) * self.spec.accumulate
            display.n_steps = self.spec.last_step
            journal = self._open_journal() if self.is_first else None
            callbacks, averaging = self._callbacks()
            try:
                keeper = Keeper(
                    task=self.task,
                    spec=self.spec,
                    data=data,
                    progress=self.progress,
                    resumed=self.state,
                    identity=self.identity,
                    folder=self.folder,
                    checkpoints=self.checkpoints,
                    journal=journal,
                    stop=stop,
                    display=display,
                    average=averaging,
                )
                trainer = make_trainer(
                    self.spec,
                    self.folder,
                    callbacks=[*callbacks, keeper],  # last: it saves what the others remember
                    loggers=self._loggers(),
                    is_done=keeper.is_done,
                )
                if self.is_first:
                    record_environment(
                        self.folder,
                        device=trainer.strategy.root_device,
                        n_devices=self.spec.n_ranks,
                        resumed_step=self.progress.step if self.state else None,
                        precision=self.spec.precision,
                    )
                if opening and not keeper.is_done:
                    display.note(opening)
                self.state = None  # the keeper's now, who drops it when it is used
                run_trainer(trainer, module, data)
                if journal is not None:
                    journal.write_table()
            finally:
                if journal is not None:
                    journal.close()
        if self.is_first and self.spec.average_last > 1 and stop.received is None:
            average(self.folder, self.spec.average_last)
        return self._result()

    def _plan(self, module: TrainingModule, data: TrainingData, display: Display, *, is_told: bool) -> None:
        """Before the first step of a run: says what a step takes, and settles where a schedule ends."""
        if self.state is not None or not self.is_first:
            return
        is_open = has_open_end(self.spec)
        n_steps = self.spec.last_step
        if is_told or (is_open and self.spec.max_minutes is not None):
            if is_told:
                display.note(f"the first example: {self.task.example()}")
            if plan := self._measured(module, data):
                n_steps = plan.n_steps
                display.note(plan.text())
                if is_told and (warning := plan.warning()):
                    log.warning("%s", warning)
        if is_open:
            self.run = settle_end(self.run, n_steps)
            self._write_spec()
            module.spec, module.schedule = self.spec, make_schedule(self.run)
            tell_loggers(module, self.run)

    def _measured(self, module: TrainingModule, data: TrainingData) -> Plan | None:
        """What steps take; None where the memory does not hold a batch, which the first step then has to say."""
        device = torch.device(device_type(self.spec))
        batches = data.batches
        first = (batches[batches.order.after(Position(0, 0), i)] for i in range(MOST_BATCHES))
        try:
            module.model.to(device).train()
            with torch.autocast(device.type, torch.bfloat16, enabled=self.spec.precision == "bf16-mixed"):
                seconds = seconds_a_batch(module.model, self.task, first)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            return None
        return Plan(self.spec, seconds)

    # Before training

    def _write_spec(self) -> None:
        write_spec(self.folder, self.run)

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

    def _callbacks(self) -> tuple[list[Any], WeightAverage | None]:
        """All of them, and which of them averages the weights."""
        specs = self.spec.all_callbacks
        callbacks = [CALLBACK.build(spec) for spec in specs]
        for callback, state in zip(callbacks, self.state["callbacks"] if self.state else (), strict=False):
            callback.load_state_dict(state)
        averages = [each for each, spec in zip(callbacks, specs, strict=True) if averages_weights(spec)]
        return callbacks, next(iter(averages), None)

    def _loggers(self) -> list[Any]:
        """In a folder for each session, for some begin theirs anew."""
        folder = self.folder / LOGS_FOLDER / f"from-step-{self.progress.step}"
        return [LOGGER.build(spec, folder=folder) for spec in self.spec.loggers]

    def _module(self) -> TrainingModule:
        step = self.progress.step
        return make_module(
            self.run,
            self.task,
            self.folder,
            progress=self.progress,
            logs=False,
            starts=self.is_first,  # DistributedDataParallel hands its weights to the other processes
            weights=self.checkpoints.weights(self.checkpoints.path(step)) if step else None,
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
