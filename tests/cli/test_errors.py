"""Each message that a mistake must give, word for word: tests/cli/errors/*.yaml hold the inputs, commands and outputs.

A case has `files` to write first (text; null for a folder; hex: bytes; or a change of a file of the run: cut to so many
bytes, append, replace one text by another, remove), `trained` where the folder `run` is to be a trained run, `run`, the
words behind `zoo`, and what comes of it: `exit`, `stdout` if any, `stderr`. What grows with every part stands there as
<names of KIND>, <names of families> and <number of presets>.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

import presets
from tests.our_kinds import our_kinds
from zoo.cli.main import app
from zoo.interop.family import family_names

CASES: dict[str, dict[str, Any]] = {
    f"{file.stem}: {name}": case
    for file in sorted((Path(__file__).parent / "errors").glob("*.yaml"))
    for name, case in yaml.safe_load(file.read_text(encoding="utf-8")).items()
}
THROUGH_THE_EXECUTABLE = (
    "yaml_files: tabs",
    "command_line: an unknown option",
    "command_line: an unknown preset",
)


def filled(text: str) -> str:
    """The text with what is registered now."""

    def names(found: re.Match[str]) -> str:
        kind = found[1]
        return ", ".join(family_names() if kind == "families" else our_kinds()[kind].names())

    text = re.sub(r"<names of (\w+)>", names, text)
    return text.replace("<number of presets>", str(len(presets.names())))


def put(path: Path, given: str | dict[str, Any] | None) -> None:
    if given is None:
        path.mkdir(parents=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(given, str):
        path.write_text(given, encoding="utf-8", newline="")
        return
    ((how, what),) = given.items()
    if how == "hex":
        path.write_bytes(bytes.fromhex(what))
    elif how == "cut":
        path.write_bytes(path.read_bytes()[:what])
    elif how == "remove":
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    else:
        text = path.read_text(encoding="utf-8")
        old, new = what if how == "replace" else ("", what)
        assert old in text
        path.write_text(text.replace(old, new, 1) if old else text + new, encoding="utf-8")


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The case of a name, and its files in the working directory."""
    case = CASES[request.param]
    if case.get("trained"):
        shutil.copytree(request.getfixturevalue("trained")[0], tmp_path / "run")
    for name, given in case.get("files", {}).items():
        put(tmp_path / name, given)
    monkeypatch.chdir(tmp_path)
    # Kinds that other tests have made would be counted and guessed at as well.
    monkeypatch.setattr("registry.kind._made", our_kinds())
    return case


@pytest.mark.parametrize("place", CASES, ids=CASES, indirect=True)
def test_a_mistake_gives_exactly_this_message(place: dict[str, Any]) -> None:
    result = CliRunner().invoke(app, shlex.split(place["run"]))
    found = {"exit": result.exit_code, "stdout": result.stdout, "stderr": result.stderr}
    expected = {"exit": place["exit"], "stdout": place.get("stdout", ""), "stderr": filled(place["stderr"])}
    assert found == expected


@pytest.mark.parametrize("place", THROUGH_THE_EXECUTABLE, indirect=True)
def test_the_executable_gives_the_same_message(place: dict[str, Any]) -> None:
    words = [sys.executable, "-m", "zoo.cli.main", *shlex.split(place["run"])]
    result = subprocess.run(words, capture_output=True, text=True, timeout=100)
    assert (result.returncode, result.stdout, result.stderr) == (place["exit"], "", filled(place["stderr"]))


INTERNAL = ("Traceback", "<class", " at 0x", "pydantic", "Path(", "NoneType", "unexpected;", "site-packages")


def test_no_message_shows_what_only_this_program_s_code_knows() -> None:
    assert len(CASES) >= 200
    assert {case["exit"] for case in CASES.values()} == {2, 3, 5}
    assert [name for name, case in CASES.items() if any(each in case["stderr"] for each in INTERNAL)] == []
