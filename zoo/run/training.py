"""Training a run in its folder, from the start or from its newest checkpoint."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

import torch

from registry import SpecError
from zoo import hardware
from zoo.analysis.size import n_parameters
from zoo.errors import DataError
from zoo.run.folder import SPEC_FILE, is_first_process, new_folder, require, run_in
from zoo.run.memory import check_memory
from zoo.run.spec import RunSpec
from zoo.training.files import METRICS_FILE
from zoo.training.plan import duration
from zoo.training.selection import last_step
from zoo.training.settling import device_name, device_type, settle_precision

_LEAST_STEP_S = 0.01  # of any model: Lightning's loop, and dozens of calls into torch
_OF_AN_ATTEMPT = {SPEC_FILE, "tokens", "checkpoints", "environment.json", METRICS_FILE, "tensorboard"}


def train(
    run: RunSpec,
    out: str | Path | None = None,
    *,
    name: str = "run",
    progress: bool = True,
    force: bool = False,
) -> Path:
    """Trains a run in a folder of its own and returns that: `out`, or a new `runs/<name>-<hash>-<number>`.

    A folder made here goes again when the spec or the data turn out to be wrong.
    force trains where the estimate says that memory will not do.
    Raises: SpecError for a spec without task, training or generation, too large for the memory there is, or for
        a device that is not there;
        DataError; RunError for a folder in use; DivergedError; PreemptedError and KeyboardInterrupt, both
        after saving.
    """
    require(run, "task", "training", "generation", why="train it")
    check_memory(run, force=force or not is_first_process())
    is_new = out is None or not Path(out).exists()
    folder = new_folder(run, name) if out is None else Path(out)
    try:
        return _fit(run, folder, is_resumed=False, progress=progress)
    except (SpecError, DataError):
        if is_new and is_first_process():
            _remove_attempt(folder)
        raise


def resume(folder: str | Path, *overrides: str, progress: bool = True, force: bool = False) -> Path:
    """Goes on with a run from its newest checkpoint, from the start if there is none yet; returns the folder.

    overrides may change what does not touch what is learnt, such as training.max_steps.
    Raises: as `train`.
    """
    run = run_in(Path(folder), *overrides)
    require(run, "task", "training", "generation", why="train it")
    check_memory(run, force=force or not is_first_process())
    return _fit(run, Path(folder), is_resumed=True, progress=progress)


def early_end(folder: Path) -> str | None:
    """Why a run's training ended before all its steps, and the command that goes on; None where it did not."""
    spec = run_in(folder).training
    assert spec is not None
    step = last_step(folder)
    if step >= spec.max_steps or spec.max_minutes is None:
        return None
    changes = [f"training.max_minutes={_more(spec.max_minutes * spec.max_steps / max(step, 1)):g}"]
    if step >= spec.last_step:
        why = f"as many as training.max_minutes={spec.max_minutes:g} was found to hold when it began"
        changes.append(f"training.schedule.total_steps={spec.max_steps}")
    else:
        why = f"training.max_minutes={spec.max_minutes:g} were over"
    command = " ".join(["zoo resume", shlex.quote(str(folder)), *changes])
    return f"Training ended at step {step:,} of {spec.max_steps:,}: {why}. To go on:\n  {command}"


def _more(minutes: float) -> float:
    """Rounded up, to whole minutes from 10 on."""
    return float(-(-minutes // 1)) if minutes >= 10 else -(-minutes * 2 // 1) / 2


def _fit(run: RunSpec, folder: Path, *, is_resumed: bool, progress: bool) -> Path:
    run, reason = settle_precision(run)
    if progress and is_first_process():
        print(f"run: {folder} (after an interruption: zoo resume {folder})", file=sys.stderr)
        print(_head_line(run, reason), file=sys.stderr, flush=True)
    from zoo.training.fit import fit  # the way to lightning, whose import takes longer than torch's

    fit(run, folder, resume=is_resumed, progress=progress)  # type: ignore[arg-type]
    return folder


def _head_line(run: RunSpec, reason: str) -> str:
    """Where and in what a run trains and why, how large it is, and about how long it will take."""
    spec = run.training
    assert spec is not None
    kind = device_type(spec)
    count = n_parameters(run.model)
    tokens = spec.tokens_per_batch * spec.accumulate * spec.devices
    # Forward and backward take 6 operations a parameter and token (Kaplan et al. 2020); a small model's step spends
    # as much time again on what is no product. Measured before the first step; this is only the first idea.
    seconds = 2 * 6 * count * tokens / spec.devices / hardware.multiply_speed(kind)
    if spec.precision == "bf16-mixed":
        seconds /= max(hardware.bf16_speedup(kind), 1.0)
    seconds = max(seconds, _LEAST_STEP_S) * spec.last_step
    limit = f", at most {duration(60 * spec.max_minutes)}" if spec.max_minutes is not None else ""
    return (
        f"{kind} ({device_name(torch.device(kind))}), {spec.precision}: {reason}; {count:,} parameters; "
        f"up to {tokens:,} tokens a side and step; {spec.last_step:,} steps, at a first guess "
        f"{duration(seconds)}{limit}"
    )


def _remove_attempt(folder: Path) -> None:
    """Removes the folder of a training that never began, if nothing lies in it but what such a one leaves."""
    names = (
        {path.name for path in folder.iterdir() if not path.name.startswith(".")}
        if folder.is_dir()
        else set()
    )
    is_bare = all(name in _OF_AN_ATTEMPT or name.startswith("tokenizer") for name in names)
    has_begun = any((folder / "checkpoints").glob("step-*"))
    if names and is_bare and not has_begun:
        shutil.rmtree(folder, ignore_errors=True)
