"""A run's plugin is run after the user's yes, which is remembered for one content of one file, and never otherwise."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from registry import PluginError, load_plugin
from tests.cli.test_run_plugins import HALF, PLUGIN

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of what was allowed, which is not there yet."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state/zoo/allowed_plugins.json"


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory, tiny: tuple[str, ...]) -> Path:
    """A run trained with a plugin beside it, half.py, in a process of its own."""
    folder = tmp_path_factory.mktemp("half")
    (folder / "half.py").write_text(PLUGIN, encoding="utf-8")
    words = ["train", *tiny, HALF, "--plugin", "half.py", "--quiet", "--out", "run"]
    command = [sys.executable, "-m", "zoo.cli.main", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    return folder


@pytest.fixture
def run(zoo: Any, half: Path, tmp_path: Path, state: Path) -> Path:
    """A run in the current folder, and the plugin beside it, which leaves a mark where it is run."""
    shutil.copytree(half / "run", tmp_path / "run")
    mark = f"with open({str(tmp_path / 'mark')!r}, 'a') as _mark:\n    print('run', file=_mark)\n"
    file = tmp_path / "half.py"
    file.write_text(PLUGIN + mark, encoding="utf-8")
    record = json.loads((tmp_path / "run/plugins.json").read_text())
    record["plugins"][0] |= {"path": str(file), "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    (tmp_path / "run/plugins.json").write_text(json.dumps(record))
    return tmp_path / "run"


def on_terminal(answer: str, *words: str, cwd: Path) -> tuple[int, str]:
    """The exit code and the output of `zoo WORDS...` on a terminal on which somebody types."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "zoo.cli.main", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, cwd=cwd, env=environment, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    text = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # Linux says so that the other end is closed
            break
        if not piece:
            break
        text += piece
        if text.endswith(b"[y/N] "):
            os.write(ours, f"{answer}\n".encode())
    os.close(ours)
    return process.wait(timeout=120), text.decode()


def n_runs(run: Path) -> int:
    mark = run.parent / "mark"
    return len(mark.read_text().splitlines()) if mark.exists() else 0


def test_it_asks_remembers_and_asks_again_after_a_change(
    run: Path, zoo: Any, forgotten: Any, state: Path
) -> None:
    file = run.parent / "half.py"
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    code, text = on_terminal("y", "show", "run", cwd=run.parent)
    assert f"run was trained with {file} (sha256 {sha256[:16]}); run it? [y/N]" in text
    assert (code, n_runs(run)) == (0, 1)
    allowed = json.loads(state.read_text())["allowed"]
    assert allowed == [{"path": str(file), "sha256": sha256}]
    assert (state.stat().st_mode & 0o777, state.parent.stat().st_mode & 0o777) == (0o600, 0o700)

    for words in (
        ["show", "run"],
        ["resume", "run"],
        ["generate", "run"],
        ["evaluate", "run", "--split", "dev"],
    ):
        result = zoo(*words)  # no terminal
        assert result.exit_code == 0, result.output
        assert f"{file}: run, as you have allowed (sha256 {sha256[:16]})" in result.stderr.splitlines()
        forgotten()

    file.write_text(file.read_text() + "# changed\n")
    before, changed = n_runs(run), hashlib.sha256(file.read_bytes()).hexdigest()
    assert (zoo("show", "run").exit_code, n_runs(run)) == (2, before)
    code, text = on_terminal("", "show", "run", cwd=run.parent)
    assert f"(sha256 {sha256[:16]}), which has changed since (now {changed[:16]}); run it? [y/N]" in text
    assert (code, n_runs(run)) == (2, before)


def test_a_stranger_s_folder_never_runs_anything_without_the_yes(run: Path, zoo: Any, forgotten: Any) -> None:
    theirs = run.parent / "theirs"
    shutil.copytree(run, theirs)
    shutil.copy(run.parent / "half.py", theirs)
    record = json.loads((theirs / "plugins.json").read_text())
    for path in (theirs / "half.py", run.parent / "half.py", "half.py", "/dev/stdin", theirs):
        record["plugins"][0]["path"] = str(path)
        (theirs / "plugins.json").write_text(json.dumps(record))
        for words in (
            ["show", "theirs"],
            ["generate", "theirs"],
            ["resume", "theirs"],
            ["predict", "theirs"],
        ):
            result = zoo(*words, input="y\ny\n")  # what is no terminal answers nothing
            assert result.exit_code == 2, result.output
    assert n_runs(run) == 0


@pytest.mark.parametrize("where", ["theirs", "theirs/deeper"])
def test_what_a_run_folder_allows_does_not_count(
    run: Path, zoo: Any, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    theirs, file = run.parent / "theirs", run.parent / "half.py"
    shutil.copytree(run, theirs)
    monkeypatch.setenv("XDG_STATE_HOME", str(run.parent / where))
    allow(run.parent / where / "zoo", file)
    result = zoo("show", "theirs")
    assert (result.exit_code, n_runs(run)) == (2, 0)


def allow(folder: Path, file: Path) -> Path:
    """Writes a file of allowances by hand."""
    folder.mkdir(parents=True)
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    state = folder / "allowed_plugins.json"
    state.write_text(json.dumps({"allowed": [{"path": str(file), "sha256": sha256}]}))
    return state


def test_what_others_may_have_written_does_not_count(run: Path, zoo: Any, state: Path) -> None:
    allow(state.parent, run.parent / "half.py")
    state.chmod(0o666)
    result = zoo("show", "run")
    assert (result.exit_code, n_runs(run)) == (2, 0)
    assert result.stderr.startswith(f"{state}: others may write to it; what it allows does not count\n")
    state.chmod(0o600)
    assert zoo("show", "run").exit_code == 0


@pytest.mark.parametrize("text", ["{", "[]", '{"allowed": [3]}', '{"allowed": 3}'])
def test_damaged_allowances_do_not_count(run: Path, zoo: Any, state: Path, text: str) -> None:
    state.parent.mkdir(parents=True)
    state.write_text(text)
    result = zoo("show", "run")
    assert (result.exit_code, n_runs(run)) == (2, 0)
    assert result.stderr.startswith(f"{state}: damaged; what it allows does not count\n")


def test_a_relative_state_folder_is_none(
    run: Path, zoo: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    allow(run.parent / "here/zoo", run.parent / "half.py")
    monkeypatch.setenv("XDG_STATE_HOME", "here")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert (zoo("show", "run").exit_code, n_runs(run)) == (2, 0)


def test_a_link_is_allowed_as_the_file_that_it_leads_to(run: Path, zoo: Any, state: Path) -> None:
    file, link = run.parent / "half.py", run.parent / "link.py"
    link.symlink_to(file)
    record = json.loads((run / "plugins.json").read_text())
    record["plugins"][0]["path"] = str(link)
    (run / "plugins.json").write_text(json.dumps(record))
    allow(state.parent, link)  # the link's own name allows nothing
    assert (zoo("show", "run").exit_code, n_runs(run)) == (2, 0)
    shutil.rmtree(state.parent)
    allow(state.parent, file)
    assert (zoo("show", "run").exit_code, n_runs(run)) == (0, 1)


@pytest.mark.parametrize("key", ["path", "sha256", "names"])
def test_a_record_that_would_write_to_the_terminal_is_damaged(run: Path, zoo: Any, key: str) -> None:
    record = json.loads((run / "plugins.json").read_text())
    record["plugins"][0][key] = ["\x1b[2J"] if key == "names" else "\x1b[2J"
    (run / "plugins.json").write_text(json.dumps(record))
    result = zoo("show", "run")
    assert (result.exit_code, "\x1b" in result.stderr) == (5, False)


def test_what_was_read_is_what_is_run(tmp_path: Path, forgotten: Any) -> None:
    """Neither a compiled file beside it, nor another content than that which was allowed."""
    file, mark = tmp_path / "mine.py", tmp_path / "mark"
    file.write_text(f"open({str(mark)!r}, 'w')\n" + " " * 20)
    planted = importlib.util.cache_from_source(str(file))
    subprocess.run([sys.executable, "-m", "py_compile", str(file)], check=True)
    found = file.stat()
    file.write_text("x = 1".ljust(found.st_size))
    os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns))  # for Python the compiled file is still right
    assert Path(planted).is_file()
    with pytest.raises(PluginError, match="is another file than that of SHA-256 00; nothing of it was run"):
        load_plugin(file, sha256="00")
    load_plugin(file)
    assert not mark.exists()


# Packages


def test_a_run_records_its_packages_and_says_which_is_missing_or_another(
    zoo: Any,
    tiny: tuple[str, ...],
    tmp_path: Path,
    forgotten: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: Any,
) -> None:
    from registry import plugins
    from zoo.kinds import NORM

    NORM.names()
    monkeypatch.setattr(NORM, "_entries", dict(NORM._entries))  # what is registered here is gone afterwards
    (tmp_path / "zoo_half.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    package = plugins.Package("zoo-half", "1.0", frozenset({"zoo_half"}))
    monkeypatch.setattr(plugins, "_packages", {"zoo-half": package})
    importlib.import_module("zoo_half")
    assert zoo("train", *tiny, HALF, "--quiet", "--out", "run").exit_code == 0
    record = json.loads(Path("run/plugins.json").read_text())["packages"]
    assert record == [{"distribution": "zoo-half", "version": "1.0", "names": ["norm/half"]}]

    plugins._packages["zoo-half"] = plugins.Package("zoo-half", "2.0", package.modules)
    assert zoo("show", "run").exit_code == 0
    assert caplog.messages == ["zoo-half: 2.0 is installed, and run was trained with 1.0 (norm/half)"]

    plugins._packages.clear()
    del NORM._entries["half"]
    result = zoo("show", "run")
    assert (result.exit_code, result.stderr) == (
        2,
        "run: needs the package zoo-half 1.0, for norm/half, which is not installed; install zoo-half==1.0\n",
    )
