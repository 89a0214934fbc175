"""A run remembers its plugins, and says which it goes without; it never runs one by itself."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PLUGIN = '''
from typing import Literal
from torch import Tensor, nn
from registry import Spec
from zoo.kinds import NORM

class HalfSpec(Spec):
    type: Literal["half"] = "half"

@NORM.register("half", spec=HalfSpec, examples=[{}])
class Half(nn.Module):
    """Halves every value."""
    def __init__(self, *, d_model: int) -> None:
        super().__init__()
    def forward(self, x: Tensor) -> Tensor:
        return x / 2
'''

HALF = "model.encoder.layer.norm=half"


@pytest.fixture
def run(zoo: Any, tiny: tuple[str, ...], tmp_path: Path, forgotten: Any) -> Path:
    """A run trained with the plugin half.py, in a process that has forgotten it."""
    (tmp_path / "half.py").write_text(PLUGIN, encoding="utf-8")
    result = zoo("train", *tiny, HALF, "--plugin", "half.py", "--quiet", "--out", "run")
    assert result.exit_code == 0, result.output
    forgotten()
    return tmp_path / "run"


def test_a_run_s_plugins_are_recorded_and_what_is_missing_is_one_line(
    zoo: Any, run: Path, forgotten: Any
) -> None:
    path = str(run.parent / "half.py")
    (record,) = json.loads((run / "plugins.json").read_text(encoding="utf-8"))["plugins"]
    assert (record["given"], record["path"], record["names"]) == ("half.py", path, ["norm/half"])
    for words in (
        ["resume", "run"],
        ["generate", "run"],
        ["evaluate", "run", "--split", "dev"],
        ["show", "run"],
    ):
        result = zoo(*words)
        assert result.exit_code == 2
        assert result.stderr == (
            f"run: needs the plugin {path}, for norm/half; add --plugin {path}: "
            f"zoo {' '.join(words)} --plugin {path}\n"
        )
        assert zoo(*words, "--plugin", path).exit_code == 0
        forgotten()


def test_a_plugin_that_has_changed_or_gone_is_said_by_name(
    zoo: Any, run: Path, forgotten: Any, caplog: pytest.LogCaptureFixture
) -> None:
    file = run.parent / "half.py"
    file.write_text(PLUGIN + "# changed", encoding="utf-8")
    assert zoo("show", "run", "--plugin", "half.py").exit_code == 0
    assert caplog.messages == [f"{file}: changed since run was trained with it (norm/half)"]
    forgotten()
    said = f"run: needs the plugin {file}, for norm/half, which has changed since; add --plugin {file}: "
    assert zoo("show", "run").stderr.startswith(said)
    file.rename(run.parent / "moved.py")
    result = zoo("show", "run")
    assert result.stderr.startswith(
        f"run: needs the plugin {file}, for norm/half, which is not there any more: say where it is; add --plugin PATH"
    )
    assert zoo("show", "run", "--plugin", "moved.py").exit_code == 0


def test_a_run_folder_never_makes_its_plugin_run(zoo: Any, run: Path) -> None:
    mark = run.parent / "mark"
    (run.parent / "half.py").write_text(f"open({str(mark)!r}, 'w')\n{PLUGIN}", encoding="utf-8")
    assert zoo("resume", "run").exit_code == 2
    assert not mark.exists()


def test_a_run_without_plugins_has_no_record_of_any(trained: tuple[Path, str]) -> None:
    assert not (trained[0] / "plugins.json").exists()


def test_a_damaged_record_is_said(zoo: Any, run: Path) -> None:
    (run / "plugins.json").write_text("{", encoding="utf-8")
    result = zoo("show", "run")
    assert (result.exit_code, result.stderr.partition(":")[0]) == (5, "run/plugins.json")


def test_the_missing_plugin_is_said_by_a_process_of_its_own_too(run: Path) -> None:
    command = [sys.executable, "-m", "zoo.cli.main", "resume", "run"]
    process = subprocess.run(
        command, cwd=run.parent, capture_output=True, text=True, timeout=120, check=False
    )
    assert process.returncode == 2
    assert process.stderr.count("\n") == 1


def line_of(text: str) -> int:
    return next(i for i, line in enumerate(PLUGIN.splitlines(), 1) if text in line)


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("x / 2", "x + x.new_ones(99)", "x / 2", "RuntimeError: The size of tensor a"),
        ("super().__init__()", "super().__init__() or 1 / 0", "super().__init__()", "ZeroDivisionError: "),
        (
            "x / 2",
            "x[..., :-1]",
            "def forward",
            r"its output is \[\d+, \d+, 11\] and must have the shape of its input, \[\d+, \d+, 12\] "
            r"\(RuntimeError: ",
        ),
        ("x / 2", "None", "def forward", "its output is a NoneType and must have the shape of its input"),
    ],
)
def test_an_error_by_a_plugin_s_module_names_the_part_its_file_and_its_place_in_the_spec(
    zoo: Any, tiny: tuple[str, ...], tmp_path: Path, old: str, new: str, line: str, message: str
) -> None:
    (tmp_path / "half.py").write_text(PLUGIN.replace(old, new), encoding="utf-8")
    words = (
        "train",
        *tiny,
        HALF,
        "model.decoder.layer.norm=rms_norm",
        "--plugin",
        "half.py",
        "--quiet",
        "--out",
        "run",
    )
    result = zoo(*words)
    assert result.exit_code == 2, result.output
    told = [text for text in result.stderr.splitlines() if "half.py" in text]
    place = rf"norm/half \({re.escape(str(tmp_path / 'half.py'))}:{line_of(line)}\)"
    assert re.match(rf"{place}, at model\.encoder\.layer\.norm: {message}", told[-1]), told
    assert "Traceback" not in result.stderr


def test_an_error_in_a_plugin_s_constructor_is_told_by_check_and_conform_too(
    zoo: Any, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "half.py").write_text(PLUGIN.replace("super().__init__()", "1 / 0"), encoding="utf-8")
    place = f"{tmp_path / 'half.py'}:{line_of('super().__init__()')}"
    result = zoo("check", *tiny, HALF, "--plugin", "half.py")
    assert result.exit_code == 2, result.output
    assert f"norm/half ({place}), at model.encoder.layer.norm" in result.stderr
    result = zoo("conform", "norm/half", "--plugin", "half.py")
    assert (result.exit_code, f"{place}: ZeroDivisionError: division by zero" in result.stdout) == (1, True)
