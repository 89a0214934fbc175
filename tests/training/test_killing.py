"""kill -9 of a real process at any moment, then a resume: as if nothing had been."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from comparison import differences, final

from zoo.training.fit import fit


def killed_runs(tmp_path: Path, kind: str, *numbers: int) -> list[Path]:
    """The folders of runs that were killed and resumed until they were done."""
    script = Path(__file__).with_name("killing.py")
    command = [sys.executable, str(script), kind, str(tmp_path), *map(str, numbers)]
    output = subprocess.run(command, capture_output=True, text=True, check=False)
    assert output.returncode == 0, output.stdout + output.stderr
    return [tmp_path / line for line in output.stdout.splitlines()]


def names(folder: Path) -> set[str]:
    paths = {str(path.relative_to(folder)) for path in folder.rglob("*")}
    return {path for path in paths if not path.startswith("tensorboard/")}  # a file for each session


def check(toy: ModuleType, tmp_path: Path, folders: list[Path]) -> None:
    settings = importlib.import_module("killing").RUN
    fit(toy.toy_run(**settings), tmp_path / "alone", resume=False, progress=False)
    expected = final(tmp_path / "alone")
    for folder in folders:
        assert list(differences(expected, final(folder))) == [], folder.name
        assert names(folder) == names(tmp_path / "alone"), folder.name  # nothing half written, no damage


@pytest.mark.slow
def test_killed_in_the_middle_of_a_save(toy: ModuleType, tmp_path: Path) -> None:
    folders = killed_runs(tmp_path, "calls", 3, 17)
    assert len(folders) > 5
    check(toy, tmp_path, folders)


def test_killed_at_random_times(toy: ModuleType, tmp_path: Path) -> None:
    check(toy, tmp_path, killed_runs(tmp_path, "times", 6, 1))


@pytest.mark.slow
def test_killed_at_every_single_change_of_the_disk(toy: ModuleType, tmp_path: Path) -> None:
    folders = killed_runs(tmp_path, "calls", 1, 1)
    assert len(folders) > 100
    check(toy, tmp_path, folders)


@pytest.mark.slow
def test_killed_at_200_random_times(toy: ModuleType, tmp_path: Path) -> None:
    check(toy, tmp_path, killed_runs(tmp_path, "times", 200, 2))
