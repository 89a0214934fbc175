"""The built wheel holds everything a user needs, presets included, and works far from the checkout."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import presets

ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        str(folder),
        str(ROOT),
    ]
    if importlib.util.find_spec("hatchling"):  # else pip fetches it
        command.insert(-1, "--no-build-isolation")
    subprocess.run(command, check=True, timeout=600)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel installed in it; its dependencies are the ones of this interpreter."""
    folder = tmp_path_factory.mktemp("installed")
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        str(folder),
        str(wheel),
    ]
    subprocess.run(command, check=True, timeout=600)
    return folder


def run(installed: Path, *command: str, cwd: Path) -> str:
    """What a command prints that finds the wheel's packages first."""
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    return subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=300, cwd=cwd, env=environment
    ).stdout


def test_the_wheel_holds_the_three_packages_whole_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"zoo", "registry", "presets"}
    expected = {
        str(path.relative_to(ROOT))
        for package in ("zoo", "registry", "presets")
        for path in (ROOT / package).rglob("*")
        if path.suffix in (".py", ".yaml", ".typed")
    }
    assert expected <= names
    assert "presets/quickstart.yaml" in names


def test_the_installed_command_lists_and_checks_the_presets(installed: Path, tmp_path: Path) -> None:
    zoo = str(installed / "bin" / "zoo")
    where = run(
        installed,
        sys.executable,
        "-c",
        "import zoo, presets; print(zoo.__file__, presets.__file__)",
        cwd=tmp_path,
    )
    assert all(path.startswith(str(installed)) for path in where.split())
    listed = run(installed, zoo, "list", "presets", cwd=tmp_path)
    assert [line.split()[0] for line in listed.splitlines()] == presets.names()
    checked = run(installed, zoo, "check", *presets.names(), cwd=tmp_path)
    assert [line.partition(": ok, ")[0] for line in checked.splitlines()] == presets.names()
