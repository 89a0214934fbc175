"""What a run was trained with: written once for each session."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from zoo import hardware
from zoo.storage.records import read_record, write_record
from zoo.training.settling import device_name

ENVIRONMENT_FILE = "environment.json"
PACKAGES = ("architecture-zoo", "torch", "lightning", "numpy", "sentencepiece", "sacrebleu")


def record_environment(
    folder: Path, *, device: torch.device, n_devices: int, resumed_step: int | None, precision: str
) -> None:
    """Adds this session to the run's environment.json: versions, machine, command, time.

    Raises: RunError when it cannot be written, or what earlier sessions wrote is damaged.
    """
    path = folder / ENVIRONMENT_FILE
    sessions = read_record(path, lambda data: list(data["sessions"])) if path.exists() else []
    session = _session(device, n_devices, resumed_step, precision)
    write_record(path, {"sessions": [*sessions, session]})


def _session(
    device: torch.device, n_devices: int, resumed_step: int | None, precision: str
) -> dict[str, Any]:
    is_cuda = device.type == "cuda"
    return {
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "resumed_step": resumed_step,
        "command": sys.argv,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in PACKAGES},
        "commit": _commit(),
        "device": device_name(device),
        "device_type": device.type,
        "instructions": hardware.instruction_set(),
        "precision": precision,
        "n_devices": n_devices,
        "cuda": torch.version.cuda if is_cuda else None,
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The commit of this code where it runs from a checkout, with "+" when files were changed since."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        commit = _git(root, "rev-parse", "HEAD")
        return commit + "+" if _git(root, "status", "--porcelain", "--untracked-files=no") else commit
    except (OSError, subprocess.SubprocessError):
        return None


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
