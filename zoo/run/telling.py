"""What a training says of itself before it begins and after it has ended."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import torch

import presets
from registry import check
from zoo import hardware
from zoo.amounts import amount
from zoo.analysis.size import n_parameters
from zoo.kinds import TASK, ScheduleSpec
from zoo.run.folder import run_in
from zoo.run.spec import RunSpec
from zoo.storage.metrics import seconds_trained
from zoo.storage.selection import last_step
from zoo.training.plan import duration
from zoo.training.settling import device_name, device_type

_MARGIN = 1.2  # more minutes than so many steps took so far
_LEAST_STEP_S = 0.01  # of any model: Lightning's loop, and dozens of calls into torch


def head_line(run: RunSpec, reason: str, *, n_taken: int = 0) -> str:
    """Where and in what a run trains and why, how large it is, and about how long the steps not yet taken will take."""
    spec = run.training
    assert spec is not None
    kind = device_type(spec)
    count = n_parameters(run.model)
    tokens = spec.tokens_per_batch * spec.accumulate * spec.n_ranks
    # Forward and backward take 6 operations a parameter and token (Kaplan et al. 2020); a small model's step spends
    # as much time again on what is no product. Measured before the first step; this is only the first idea.
    seconds = 2 * 6 * count * tokens / spec.n_ranks / hardware.multiply_speed(kind)
    if spec.precision == "bf16-mixed":
        seconds /= max(hardware.bf16_speedup(kind), 1.0)
    n_left = max(spec.last_step - n_taken, 0)
    steps = amount(spec.last_step, "step")
    if n_taken:
        steps += f", {n_left:,} of them left" if n_left else ", all of them taken"
    if n_left:
        steps += f", at a first guess {duration(max(seconds, _LEAST_STEP_S) * n_left)}"
        if spec.max_minutes is not None:
            steps += f", at most {duration(60 * spec.max_minutes)}" + (" in all" if n_taken else "")
    return (
        f"{kind} ({device_name(torch.device(kind))}), {spec.precision}: {reason}; {count:,} parameters; "
        f"up to {tokens:,} tokens a side and step; {steps}"
    )


def how_to_give(run: RunSpec, key: str) -> str:
    """How a run comes to a section that it goes without and training needs, as the end of a sentence."""
    if key != "task":
        return f"; {key}: {'{}' if key == 'training' else 'beam'} takes every default"
    found = {
        name: check(spec, "model", model=run.model)
        for name in TASK.names()
        for spec in TASK.examples(name)[:1]
    }
    fit = [name for name, problems in found.items() if not problems]
    if not fit:
        reasons = {
            problem.message.removeprefix("model: ") for problems in found.values() for problem in problems
        }
        why = "; ".join(sorted(reasons))
        return f", and no task known here takes its model ({why}; one of your own comes by --plugin)"
    tasks = {name: presets.read(name).data.get("task", {}).get("type") for name in presets.names()}
    able = [name for name, task in tasks.items() if task in fit]
    return (
        f": print the spec to a file, zoo show SPEC > FILE, and add task: {{type: TASK, ...}} with one of "
        f"{', '.join(fit)} (its keys: zoo describe task/{fit[0]}); presets that have one: {', '.join(able)}"
    )


def opening_line(folder: Path) -> str:
    """Where a run lies that has begun, and how to go on with it. Before, an attempt's folder may go away again."""
    return f"run: {folder} (after an interruption: {_resume_command(folder)})"


def early_end(folder: Path) -> str | None:
    """Why a run's training ended before all its steps, and the command that goes on; None where it did not."""
    run, step = run_in(folder), last_step(folder)
    assert run.training is not None
    if step >= run.training.max_steps:
        return None
    why, changes = _end(run, folder, step)
    return f"Training ended at {why}. To go on:\n  {_resume_command(folder, changes)}"


def done_text(run: RunSpec, folder: Path, step: int) -> str:
    """What is said of a run that was resumed and had nothing left to do."""
    why, changes = _end(run, folder, step)
    return f"this run is done: {why}; to go on: {_resume_command(folder, changes)}"


def _end(run: RunSpec, folder: Path, step: int) -> tuple[str, list[str]]:
    """Where and why a training ended at a step, and the overrides that let it go on."""
    spec = run.training
    assert spec is not None
    place = f"step {step:,} of {spec.max_steps:,}"
    end = spec.schedule.last_step if isinstance(spec.schedule, ScheduleSpec) else None
    if step >= spec.max_steps:
        further = [f"training.max_steps={2 * spec.max_steps}"]
        if end is not None:
            further.append(f"training.schedule.total_steps={2 * spec.max_steps}")
        return place, further
    stretch = f"training.schedule.total_steps={spec.max_steps}"
    if spec.max_minutes is None:
        return f"{place}: the schedule's rate is 0 from there on", [stretch]
    needed = _MARGIN * seconds_trained(folder) / 60 * spec.max_steps / max(step, 1)
    further = [f"training.max_minutes={_more(max(needed, spec.max_minutes)):g}"]
    if end is not None and end < spec.max_steps:
        further.append(stretch)
    if step < spec.last_step:
        return f"{place}: training.max_minutes={spec.max_minutes:g} were over", further
    return f"{place}: as many as the time was found to hold when it began", further


def _resume_command(folder: Path, changes: Sequence[str] = ()) -> str:
    return " ".join(["zoo resume", shlex.quote(str(folder)), *changes])


def _more(minutes: float) -> float:
    """Rounded up, to whole minutes from 10 on."""
    return float(-(-minutes // 1)) if minutes >= 10 else -(-minutes * 2 // 1) / 2
