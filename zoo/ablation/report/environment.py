"""Where and by what an ablation's trainings were made, as their folders record it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.storage.records import read_json

ENVIRONMENT_FILE = "environment.json"
_LEFT_OUT = {"started", "resumed_step", "command", "packages"}


@dataclass(frozen=True)
class Environments:
    """What all trainings have in common, and what not."""

    n_sessions: int
    """Starts and resumes."""
    first: str
    """When the first one started."""
    last: str
    """When the last one started."""
    facts: Mapping[str, tuple[str, ...]]
    """By name, each value that occurs; several where trainings differ."""

    @property
    def differing(self) -> list[str]:
        return [name for name, values in self.facts.items() if len(values) > 1]


def environments(folder: Path, runs: Sequence[str]) -> Environments:
    """What the trainings in these folders of an ablation's ran on. Raises: RunError for a damaged record."""
    files = [folder / run / ENVIRONMENT_FILE for run in runs]
    sessions: list[dict[str, Any]] = [
        session for file in files if file.is_file() for session in read_json(file).get("sessions", [])
    ]
    facts: dict[str, dict[str, None]] = {}
    for session in sessions:
        packages = session.get("packages") or {}
        for name, value in [*session.items(), *packages.items()]:
            if name not in _LEFT_OUT and value is not None:
                facts.setdefault(name, {})[str(value)] = None
    started = sorted(str(session.get("started", "")) for session in sessions) or ["", ""]
    return Environments(
        len(sessions), started[0], started[-1], {name: tuple(values) for name, values in facts.items()}
    )
