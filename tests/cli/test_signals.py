"""A training that is told to end says so in one line and in its exit code, and can be resumed."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

WORDS = (
    "training.max_steps=100000",
    "training.checkpoint_every=2",
    "training.validate_every=100000",
    "training.accelerator=cpu",
    "task.data.n_train=67",
    "task.tokenizer=words",
)


def ended_by(number: signal.Signals, command: list[str], folder: Path, *, after_step: int) -> tuple[int, str]:
    """The exit code and messages of a command that gets a signal once it has a checkpoint beyond a step."""
    with subprocess.Popen(
        [sys.executable, "-c", "from zoo.cli.main import main; main()", *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
    ) as process:
        deadline = time.monotonic() + 300
        while (
            last_step(folder / "run") <= after_step and process.poll() is None and time.monotonic() < deadline
        ):
            time.sleep(0.05)
        process.send_signal(number)
        _, messages = process.communicate(timeout=120)
        return process.returncode, messages


def last_step(run: Path) -> int:
    steps = (path.name.removeprefix("step-") for path in run.glob("checkpoints/step-*"))
    return max((int(step) for step in steps if step.isdecimal()), default=-1)


@pytest.mark.slow
def test_signals_end_training_with_their_exit_code_and_lose_nothing(tmp_path: Path) -> None:
    train = ["train", "quickstart", "--scale=tiny", "--out", "run", *WORDS]
    code, messages = ended_by(signal.SIGTERM, train, tmp_path, after_step=0)
    assert code == 143, messages
    assert messages.splitlines()[-1] == "stopped by SIGTERM; what was trained is saved, resume to go on"
    reached = last_step(tmp_path / "run")
    code, messages = ended_by(signal.SIGINT, ["resume", "run"], tmp_path, after_step=reached)
    assert code == 130, messages
    assert messages.splitlines()[-1] == "interrupted"
    assert "Traceback" not in messages
    assert last_step(tmp_path / "run") > reached
