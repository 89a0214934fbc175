"""What a program that imports zoo, or an installer, finds."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

import zoo
from zoo.cli.main import app

ROOT = Path(__file__).resolve().parents[1]


def test_help_lists_every_public_name_with_one_line() -> None:
    listed = re.findall(r"^    (\w+) +\S.*$", zoo.__doc__ or "", re.MULTILINE)
    assert sorted(listed) == sorted(zoo.__all__)


def test_the_public_names_cover_what_users_meet() -> None:
    errors = {
        "SpecError",
        "PresetError",
        "PluginError",
        "DataError",
        "DivergedError",
        "RunError",
        "PreemptedError",
    }
    assert errors | {"TrainedRun", "Tokenizer", "load_coder"} <= set(zoo.__all__)


def test_the_command_tells_its_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"zoo {project['version']}\n")


def test_the_packages_are_typed_and_licensed() -> None:
    assert all((ROOT / name / "py.typed").is_file() for name in ("zoo", "registry", "presets"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (project["license"], project["license-files"]) == ("MIT", ["LICENSE"])
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith("MIT License")
    assert "Typing :: Typed" in project["classifiers"]
    assert {"Repository", "Changelog", "Documentation"} <= set(project["urls"])


@pytest.mark.parametrize("name", ["registry", "presets"])
@pytest.mark.parametrize("first", ["", "import {name}; "])
def test_a_file_that_takes_the_place_of_a_package_is_named(name: str, first: str, tmp_path: Path) -> None:
    (tmp_path / f"{name}.py").write_text("x = 1", encoding="utf-8")
    script = tmp_path / "script.py"
    script.write_text(first.format(name=name) + "import zoo", encoding="utf-8")
    command = [sys.executable, str(script)]
    process = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    last = process.stderr.splitlines()[-1]
    assert last.startswith(f"ImportError: zoo needs its own package '{name}' beside it")
    assert f"{tmp_path / name}.py: rename that file" in last
