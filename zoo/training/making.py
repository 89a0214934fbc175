"""A run's module: its model with the first weights of its seed, or with those given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, cast

from torch import Tensor

from registry import Spec, dump, flat
from zoo.assembly.build import build
from zoo.kinds import SCHEDULE
from zoo.tasks.prepared import Prepared
from zoo.training.devices import compile_layers, recompute_layers
from zoo.training.module import TrainingModule
from zoo.training.progress import Progress
from zoo.training.randomness import seed_all
from zoo.training.spec import TrainingSpec
from zoo.training.starting import freeze, take_weights


class Run(Protocol):
    """The parts of a run's spec that training reads; the whole is a Spec."""

    @property
    def model(self) -> Any: ...
    @property
    def task(self) -> Spec: ...
    @property
    def training(self) -> TrainingSpec: ...
    @property
    def generation(self) -> Spec | None: ...


def make_module(
    run: Run,
    task: Prepared,
    folder: Path,
    *,
    progress: Progress,
    logs: bool,
    starts: bool = True,
    weights: Mapping[str, Tensor] | None = None,
) -> TrainingModule:
    """folder is the run's; weights are those of a run that goes on; starts: whether a new model's may be set by the
    task, or taken from another folder.

    Draws from the global generators, which are seeded.
    """
    seed_all(run.training.seed, 0, 0)  # the same initial weights on every rank
    model = build(run.model)
    if weights is not None:
        model.load_state_dict(weights)
    elif starts:
        if run.training.init_from is not None:
            head: str = run.model.head.type
            take_weights(model, Path(run.training.init_from).expanduser(), folder, head=head)
        task.start(model)
    freeze(model, run.training.freeze)
    if run.training.compile:
        compile_layers(model)
    if run.training.activation_checkpointing:
        recompute_layers(model)
    module = TrainingModule(
        model=model,
        task=task,
        spec=run.training,
        schedule=make_schedule(run),
        decoding=run.generation,
        progress=progress,
        logs=logs,
    )
    tell_loggers(module, run)
    return module


def tell_loggers(module: TrainingModule, run: Run) -> None:
    """The run's spec, as the module's hyperparameters: any Trainer gives them to its loggers and checkpoints."""
    module.save_hyperparameters(flat(dump(cast(Spec, run))))


def make_schedule(run: Run) -> Callable[[int], float]:
    """The learning rate of each step."""
    schedule: Callable[[int], float] = SCHEDULE.build(
        run.training.schedule, d_model=run.model.d_model, max_steps=run.training.max_steps
    )
    return schedule
