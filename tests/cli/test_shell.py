"""What every command does with errors, signals and readers that go away."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import presets
import zoo as api
from presets import PresetError
from registry import PluginError, Problem, SpecError
from zoo.cli.main import app
from zoo.cli.shell import explain
from zoo.errors import DataError, DivergedError, PreemptedError, RunError


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (SpecError([Problem("model.d_model", "is odd")]), 2, "model.d_model: is odd"),
        (PresetError("a.yaml:3: is odd"), 2, "a.yaml:3: is odd"),
        (PluginError("parts.py:3: is odd"), 2, "parts.py:3: is odd"),
        (DataError("a.de:3: is odd"), 3, "a.de:3: is odd"),
        (DivergedError("is odd"), 4, "is odd"),
        (RunError("run: is odd"), 5, "run: is odd"),
        (FileNotFoundError(2, "No such file", "a.txt"), 5, "a.txt: No such file"),
        (PreemptedError("is odd"), 143, "is odd"),
        (KeyError("odd"), 1, "KeyError: 'odd' (unexpected; `zoo --debug ...` shows where it arose)"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_each_error_has_its_exit_code_and_one_message(error: Exception, code: int, message: str) -> None:
    assert explain(error) == (message, code)


def failing(error: BaseException) -> Any:
    def read(*_: object, **__: object) -> None:
        raise error

    return read


def test_an_unexpected_error_shows_no_traceback_unless_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presets, "read", failing(ZeroDivisionError("odd")))
    quiet = CliRunner().invoke(app, ["check", "quickstart"])
    assert (quiet.exit_code, len(quiet.stderr.splitlines())) == (1, 1)
    assert isinstance(
        CliRunner().invoke(app, ["--debug", "check", "quickstart"]).exception, ZeroDivisionError
    )
    asked = CliRunner().invoke(app, ["check", "quickstart"], env={"ZOO_DEBUG": "1"})
    assert isinstance(asked.exception, ZeroDivisionError)


def test_an_interrupt_ends_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presets, "read", failing(KeyboardInterrupt()))
    result = CliRunner().invoke(app, ["check", "quickstart"])
    assert (result.exit_code, result.stderr) == (130, "interrupted\n")


def test_unknown_commands_and_options_end_with_2() -> None:
    assert CliRunner().invoke(app, ["trian"]).exit_code == 2
    assert CliRunner().invoke(app, ["list", "--jsn"]).exit_code == 2


def test_a_reader_that_goes_away_ends_it_quietly(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from zoo.cli.main import main; main()", "list", "presets"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=60) == 141


def test_the_public_names_are_there() -> None:
    assert all(getattr(api, name) is not None for name in api.__all__)
    assert set(api.__all__) <= set(dir(api))
    with pytest.raises(AttributeError, match="has no attribute 'trian'; it offers DataError"):
        _ = api.trian  # type: ignore[attr-defined]
