"""A run's module: its model with the first weights of its seed, or with those given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from torch import Tensor

from registry import Spec
from zoo.assembly.build import build
from zoo.kinds import SCHEDULE
from zoo.tasks.prepared import Prepared
from zoo.training.devices import compile_layers
from zoo.training.module import TrainingModule
from zoo.training.progress import Progress
from zoo.training.randomness import seed_all
from zoo.training.spec import TrainingSpec


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
    *,
    progress: Progress,
    logs: bool,
    starts: bool = True,
    weights: Mapping[str, Tensor] | None = None,
) -> TrainingModule:
    """weights are those of a run that goes on; starts: whether the task may set some of a new model's.

    Draws from the global generators, which are seeded.
    """
    seed_all(run.training.seed, 0, 0)  # the same initial weights on every rank
    model = build(run.model)
    if weights is not None:
        model.load_state_dict(weights)
    elif starts:
        task.start(model)
    if run.training.compile:
        compile_layers(model)
    return TrainingModule(
        model=model,
        task=task,
        spec=run.training,
        schedule=make_schedule(run),
        decoding=run.generation,
        progress=progress,
        logs=logs,
    )


def make_schedule(run: Run) -> Callable[[int], float]:
    """The learning rate of each step."""
    schedule: Callable[[int], float] = SCHEDULE.build(
        run.training.schedule, d_model=run.model.d_model, max_steps=run.training.max_steps
    )
    return schedule
