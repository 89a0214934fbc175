"""What a spec leaves to the machine, settled once when a run starts. Needs no lightning: a fast first line."""

from __future__ import annotations

import logging
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

import torch

from registry import Problem, SpecError
from zoo import hardware
from zoo.amounts import amount
from zoo.errors import RunError
from zoo.kinds import ScheduleSpec
from zoo.training.spec import TrainingSpec

AnyRun = TypeVar("AnyRun")

log = logging.getLogger(__name__)


def device_type(spec: TrainingSpec) -> str:
    """cpu, cuda or mps: where the spec trains here. Raises: SpecError for an accelerator that is not there."""
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if spec.accelerator == "auto":
        return next((name for name, is_there in present.items() if is_there), "cpu")
    if not present.get(spec.accelerator, True):
        message = f"torch sees no '{spec.accelerator}' device here; choose auto or cpu"
        raise SpecError([Problem("training.accelerator", message)])
    return spec.accelerator


def with_training(run: AnyRun, **changes: Any) -> AnyRun:
    """A run's spec with other keys in its training section."""
    whole: Any = run
    training = whole.training.model_copy(update=changes)
    return cast(AnyRun, whole.model_copy(update={"training": training}))


def settle_precision(run: AnyRun) -> tuple[AnyRun, str]:
    """The run with what `precision: auto` stands for on the device at hand, and why; as it is where it says itself."""
    spec: TrainingSpec = cast(Any, run).training
    if spec.precision != "auto":
        return run, "as the spec says"
    choice = hardware.precision(device_type(spec))
    return with_training(run, precision=choice.value), choice.reason


def has_open_end(spec: TrainingSpec) -> bool:
    """Whether the schedule's rates depend on where it ends, and it does not say where."""
    return isinstance(spec.schedule, ScheduleSpec) and spec.schedule.ending_at(1) is not spec.schedule


def settle_end(run: AnyRun, n_steps: int) -> AnyRun:
    """The run with a schedule that ends at a step, where its spec leaves that open."""
    spec: TrainingSpec = cast(Any, run).training
    if not has_open_end(spec):
        return run
    return with_training(run, schedule=cast(ScheduleSpec, spec.schedule).ending_at(n_steps))


def keep_end(run: AnyRun, saved: Mapping[str, Any]) -> AnyRun:
    """A resumed run with the end of the schedule that it began with, unless its spec now says another one by name.

    saved is the training section that the checkpoint remembers.
    Raises: RunError for further steps, asked for now, whose rate would be 0.
    """
    before = saved["schedule"].get("total_steps")
    if before is None:
        return run
    run = settle_end(run, before)
    spec: TrainingSpec = cast(Any, run).training
    now = getattr(spec.schedule, "total_steps", before)
    if now != before:
        log.warning(
            "training.schedule.total_steps is now %s instead of %s: the rates from here on are those of the other "
            "schedule, and the weights will not be those of a run without this interruption",
            *(now, before),
        )
    elif saved["max_steps"] < spec.max_steps and spec.last_step < spec.max_steps:
        raise RunError(
            f"training.max_steps={spec.max_steps}: the schedule of this run ends at step {before} with a rate of 0, as "
            "was settled when it started; further steps would change nothing. To stretch the schedule over them, say "
            f"training.schedule.total_steps={spec.max_steps} as well; the weights are then not those of a run of "
            f"{spec.max_steps} steps without interruption"
        )
    return run


def device_name(device: torch.device) -> str:
    """What a device calls itself, and of a processor how many threads torch uses."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "cpu":
        return f"{_processor()}, {amount(torch.get_num_threads(), 'thread')}"
    return device.type


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine() or os.name
