"""Plugins: local files and entry points."""

from __future__ import annotations

import hashlib
import importlib.metadata
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from registry import Kind, PluginError, kind, load_plugin, loaded_plugins
from registry.plugins import load_entry_points

COUNTED = "import sys\nsys.plugin_runs = getattr(sys, 'plugin_runs', []) + [{!r}]\n"


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(sys, "plugin_runs", [], raising=False)
    return sys.plugin_runs


def _runs() -> list[str]:
    return sys.plugin_runs


def test_a_file_runs_once_however_it_is_named(
    tmp_path: Path, runs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text(COUNTED.format("mine"))
    monkeypatch.chdir(tmp_path)
    for path in ("mine.py", tmp_path / "mine.py", tmp_path / ".." / tmp_path.name / "mine.py"):
        load_plugin(path)
    assert _runs() == ["mine"]


def test_two_files_of_one_name_both_run(tmp_path: Path, runs: list[str]) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(COUNTED.format(folder))
        load_plugin(tmp_path / folder / "mine.py")
    assert _runs() == ["a", "b"]


def test_a_plugin_registers_a_component_with_its_docstrings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = Kind("part")
    monkeypatch.setitem(sys.modules, "the_kinds", SimpleNamespace(PART=part))
    (tmp_path / "mine.py").write_text(
        "from __future__ import annotations\nfrom typing import Literal\nfrom registry import Spec\n"
        "from the_kinds import PART\n"
        "class MineSpec(Spec):\n    type: Literal['mine'] = 'mine'\n    size: int = 3\n    '''How big.'''\n"
        "@PART.register('mine', spec=MineSpec)\ndef mine(*, size):\n    '''Is mine.'''\n    return size\n"
    )
    load_plugin(tmp_path / "mine.py")
    entry = part.entry("mine")
    assert part.build(entry.spec()) == 3
    assert entry.spec.model_fields["size"].description == "How big."
    assert entry.where == f"{tmp_path / 'mine.py'}:9"


PART = """
from typing import Literal
from registry import Spec
from the_kinds import PART
class MineSpec(Spec):
    type: Literal['mine'] = 'mine'
@PART.register('mine', spec=MineSpec)
class Mine:
    def __init__(self): ...
"""


@pytest.fixture
def part(monkeypatch: pytest.MonkeyPatch) -> Kind:
    """A kind that the files above find."""
    part = Kind("part")
    monkeypatch.setitem(sys.modules, "the_kinds", SimpleNamespace(PART=part))
    return part


def test_a_file_that_the_program_has_imported_is_not_run_again(
    tmp_path: Path, runs: list[str], monkeypatch: pytest.MonkeyPatch, part: Kind
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "my_own_parts.py").write_text(PART + COUNTED.format("own"))
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.syspath_prepend(tmp_path / "link")
    importlib.import_module("my_own_parts")
    load_plugin(tmp_path / "real" / "my_own_parts.py")
    assert (_runs(), part.names()) == (["own"], ["mine"])
    assert loaded_plugins()[-1].path == tmp_path / "real" / "my_own_parts.py"


def test_a_plugin_that_takes_the_name_of_a_built_in_part_is_refused_though_none_was_looked_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = Kind("part", package="built_in_parts")
    monkeypatch.setitem(sys.modules, "the_kinds", SimpleNamespace(PART=part))
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "built_in_parts").mkdir()
    (tmp_path / "built_in_parts" / "__init__.py").touch()
    for file in ("built_in_parts/mine.py", "plugin.py"):
        (tmp_path / file).write_text(PART)
    with pytest.raises(
        PluginError, match=r"plugin\.py:7: .*'mine' is already registered at .*mine\.py:7; choose"
    ):
        load_plugin(tmp_path / "plugin.py")
    assert part.entry("mine").builder.__module__ == "built_in_parts.mine"


def test_a_file_imported_after_it_was_a_plugin_replaces_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: Kind
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "my_later_parts.py").write_text(PART)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    load_plugin(tmp_path / "real" / "my_later_parts.py")
    monkeypatch.syspath_prepend(tmp_path / "link")
    module = importlib.import_module("my_later_parts")
    assert part.entry("mine").builder is module.Mine


def test_the_cell_of_a_notebook_may_run_again_but_another_part_may_not_take_its_name(part: Kind) -> None:
    def run(text: str, cell: str) -> None:
        exec(compile(text, cell, "exec", dont_inherit=True), {"__name__": "__main__"})

    run(PART, "/tmp/ipykernel_1/1.py")
    run(PART.replace("class Mine:", "class Mine:\n    size = 3"), "/tmp/ipykernel_1/2.py")
    assert part.entry("mine").builder.size == 3  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match=r"part 'mine' is already registered at /tmp/ipykernel_1/2.py:7"):
        run(PART.replace("Mine:", "Other:"), "/tmp/ipykernel_1/3.py")


def test_a_plugin_is_known_by_its_path_its_content_and_what_it_registers(tmp_path: Path, part: Kind) -> None:
    file = tmp_path / "known.py"
    file.write_text(PART)
    load_plugin(tmp_path / ".." / tmp_path.name / "known.py")
    plugin = loaded_plugins()[-1]
    assert plugin.given == f"{tmp_path}/../{tmp_path.name}/known.py"
    assert (plugin.path, plugin.names) == (file, ["part/mine"])
    assert plugin.sha256 == hashlib.sha256(PART.encode()).hexdigest()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("x = 1\nx = = 2\n", r"bad\.py:2: SyntaxError: invalid syntax"),
        (
            "x = 1\n\nimport no_such_thing\n",
            r"bad\.py:3: ModuleNotFoundError: No module named 'no_such_thing'",
        ),
        ("def f():\n    return 1 / 0\n\nf()\n", r"bad\.py:2: ZeroDivisionError: division by zero"),
        ("import sys\nsys.exit(3)\n", r"bad\.py:2: SystemExit: 3"),
        ("import json\njson.loads('{')\n", r"bad\.py:2: JSONDecodeError: "),
    ],
)
def test_a_file_that_fails_is_named_with_its_line(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "bad.py").write_text(text)
    with pytest.raises(PluginError, match=complaint):
        load_plugin(tmp_path / "bad.py")


def test_a_mended_file_runs_again(tmp_path: Path, runs: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    file = tmp_path / "mine.py"
    file.write_text("raise KeyError('x')")
    with pytest.raises(PluginError, match=r"mine\.py:1: KeyError"):
        load_plugin(file)
    file.write_text(COUNTED.format("mended"))
    load_plugin(file)
    assert _runs() == ["mended"]


@pytest.mark.parametrize("path", ["no_such.py", "a\0b.py", "x" * 10_000 + ".py", ""])
def test_a_file_that_is_not_there_is_refused(path: str) -> None:
    with pytest.raises(PluginError, match=r"no such plugin file; give the path of a \.py file") as caught:
        load_plugin(path)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


def test_a_file_that_is_no_python_is_refused(tmp_path: Path) -> None:
    (tmp_path / "parts.txt").write_text("x = 1")
    with pytest.raises(PluginError, match=r"parts\.txt: a plugin is a Python file"):
        load_plugin(tmp_path / "parts.txt")


def _install(folder: Path, module: str, text: str) -> None:
    (folder / f"{module}.py").write_text(text)
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module.replace('_', '-')}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[zoo.components]\nparts = {module}:done\n")


def test_an_installed_package_s_components_are_loaded_at_the_first_look_up(
    tmp_path: Path, runs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = "from registry import Kind\nKind('inner').names()\ndone = True\n"  # while it is loaded itself
    _install(tmp_path, "announced_parts", COUNTED.format("announced") + looks)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(kind, "_entry_points_loaded", False)
    assert "announced_parts" not in sys.modules
    assert Kind("part").names() == []
    assert Kind("other").names() == []
    assert _runs() == ["announced"]


def test_an_installed_package_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _install(tmp_path, "broken_parts", "raise RuntimeError('oh')")
    monkeypatch.syspath_prepend(tmp_path)
    assert importlib.metadata.entry_points(group="zoo.components", name="parts")
    with pytest.raises(
        PluginError, match="'broken_parts:done' of broken-parts cannot be loaded: RuntimeError: oh"
    ):
        load_entry_points()
