"""`zoo new`: a part of any kind that works as it is written."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

import presets
import zoo.kinds  # noqa: F401  which lists ours
from presets import packages
from registry import Kind, kinds
from zoo.cli.arguments import load

ROOT = Path(__file__).resolve().parents[2]
KINDS = tuple(kind.name for kind in kinds() if kind.package.startswith("zoo."))


def commands(stdout: str) -> list[list[str]]:
    """The words of the commands that `zoo new` ends with."""
    text = stdout.partition("Next:\n")[2].replace("\\\n", " ")
    return [shlex.split(line) for line in text.splitlines()]


def run(*command: str, cwd: Path, python: str = sys.executable) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [python, "-m", *command]
    return subprocess.run(
        words, cwd=cwd, capture_output=True, text=True, timeout=600, check=False, env=environment
    )


@pytest.fixture
def written(zoo: Any) -> dict[str, list[list[str]]]:
    """A part of every kind in the current folder, and by kind the commands that come next."""
    found = {}
    for kind in KINDS:
        result = zoo("new", kind, f"my_{kind}")
        assert result.exit_code == 0, result.output
        found[kind] = commands(result.stdout)
    return found


def test_every_kind_of_ours_has_a_template() -> None:
    homes = {path.stem for path in (ROOT / "zoo/new/templates").glob("*.py") if path.stem != "__init__"}
    assert homes == {*KINDS, *(f"test_{kind}" for kind in KINDS)}


@pytest.mark.slow
def test_each_part_and_its_test_are_clean_and_pass(written: Any, tmp_path: Path) -> None:
    for words in (["check"], ["check", "--select=F,B,UP,SIM,RET"], ["format", "--check"]):
        done = run("ruff", *words, "--isolated", ".", cwd=tmp_path)
        assert done.returncode == 0, done.stdout
    done = run("pytest", "-q", "-k", "norm or not test_laws", "-p", "no:cacheprovider", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert len(list(tmp_path.glob("*.py"))) == 2 * len(KINDS)


@pytest.mark.slow
def test_each_part_keeps_the_laws_of_its_kind(written: Any, tmp_path: Path) -> None:
    done = run("pytest", "-q", "-k", "test_laws", "-p", "no:cacheprovider", cwd=tmp_path)
    assert done.returncode == 0, done.stdout


def test_the_next_lines_test_conform_or_describe_and_train_it(written: Any, zoo: Any) -> None:
    from zoo.conformance.laws import LAWS

    for kind, (test, look, train) in written.items():
        assert test == ["pytest", f"test_my_{kind}.py"]
        how = "conform" if kind in LAWS else "describe"
        assert look == ["zoo", how, f"{kind}/my_{kind}", "--plugin", f"my_{kind}.py"]
        if how == "describe":
            assert zoo(*look[1:]).exit_code == 0
        _, _, preset, *options = train
        assert options[:4] == ["--scale", "tiny", "--plugin", f"my_{kind}.py"]
        _, spec = load(preset, options[4:], "tiny", [Path(f"my_{kind}.py")])
        assert f"my_{kind}" in repr(spec)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_training_that_is_printed_works_at_once(zoo: Any, kind: str) -> None:
    *_, train = commands(zoo("new", kind, "mine").stdout)
    result = zoo(*train[1:])
    assert result.exit_code == 0, result.output


def test_one_of_them_trains_as_printed(zoo: Any) -> None:
    *_, train = commands(zoo("new", "norm", "mine", "--out", "some folder").stdout)
    assert "some folder/mine.py" in train
    result = zoo(*train[1:], "training.max_steps=2", "--out", "run", "--quiet")
    assert result.exit_code == 0, result.output
    assert "mine" in Path("run/spec.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["x", "twenty_six_letters_in_it__", "CamelCase", "a_1_b"])
def test_the_files_are_formatted_whatever_the_name(zoo: Any, tmp_path: Path, name: str) -> None:
    for kind in ("norm", "attention", "tokenizer"):
        assert zoo("new", kind, name, "--out", kind).exit_code == 0
        for words in (["check"], ["format", "--check"]):
            done = run("ruff", *words, "--isolated", ".", cwd=tmp_path / kind)
            assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("atention", "mine", "no kind is called 'atention'; did you mean 'attention'?"),
        ("norm", "rms-norm", "'rms-norm' cannot be the name of a part: it is no identifier, such as my_norm"),
        ("norm", "class", "'class' cannot be the name of a part"),
        ("norm", "../mine", "'../mine' cannot be the name of a part"),
        ("norm", "rms_norm", "norm 'rms_norm' is already registered at "),
        ("norm", "torch", "'torch.py' would hide the module torch from what imports it"),
        ("norm", "random", "'random.py' would hide the module random"),
        ("norm", "tensor", "the file needs the name Tensor for something else"),
    ],
)
def test_what_cannot_be_written_is_refused(
    zoo: Any, tmp_path: Path, kind: str, name: str, message: str
) -> None:
    result = zoo("new", kind, name)
    assert (result.exit_code, message in result.stderr) == (2, True), result.stderr
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(zoo: Any, tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text("x = 1\n", encoding="utf-8")
    result = zoo("new", "norm", "mine")
    assert (result.exit_code, result.stderr.partition(":")[0]) == (2, "test_mine.py")
    assert [path.name for path in tmp_path.iterdir()] == ["test_mine.py"]


def test_a_kind_without_a_template_says_who_makes_it(zoo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from registry import kind as registry_kind

    monkeypatch.setattr(registry_kind, "_made", dict(registry_kind._made))
    strange = Kind("strange")
    result = zoo("new", "strange", "mine")
    assert result.stderr == f"there is no template of kind strange, which {strange.where} makes: see there\n"


# Packages


@pytest.fixture
def package(zoo: Any, tmp_path: Path) -> Path:
    """The package of an attention."""
    result = zoo("new", "attention", "mine", "--package")
    assert result.exit_code == 0, result.output
    assert commands(result.stdout)[1:] == [
        ["zoo", "conform", "attention/mine"],
        ["zoo", "train", "mine", "--scale", "tiny"],
    ]
    return tmp_path / "mine"


def announce(folder: Path, name: str, value: str) -> None:
    """Makes a folder of modules an installed package that announces presets."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[zoo.presets]\nmine = {value}\n")
    packages.packaged.cache_clear()


@pytest.fixture
def fresh() -> Any:
    """Presets of packages are looked for anew, before a test and after it."""
    packages.packaged.cache_clear()
    yield
    packages.packaged.cache_clear()


@pytest.mark.usefixtures("fresh")
def test_a_package_s_presets_are_found_without_importing_it(
    zoo: Any, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    announce(package, "zoo_mine", "zoo_mine.presets")
    monkeypatch.syspath_prepend(package)
    assert "mine" in presets.names()
    assert "extends: " in presets.text_of("mine")
    assert (
        presets.read("mine", scale="tiny").data["model"]["encoder"]["layer"]["self_attention"]["type"]
        == "mine"
    )
    assert "zoo_mine" not in sys.modules
    assert "no preset" in zoo("train", "min").stderr
    assert "'mine'" in zoo("train", "minee").stderr


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize(
    ("value", "preset", "message"),
    [
        ("zoo_mine.presets", "transformer_base", "a preset is already called 'transformer_base'"),
        ("zoo_mine.elsewhere", "other", "of zoo_mine: there is no such folder in an installed package"),
        ("nowhere.presets", "other", "of zoo_mine: there is no such folder in an installed package"),
    ],
)
def test_a_package_whose_presets_cannot_be_had_is_named(
    package: Path, monkeypatch: pytest.MonkeyPatch, value: str, preset: str, message: str
) -> None:
    (package / "zoo_mine/presets" / f"{preset}.yaml").write_text("model: {}\n")
    announce(package, "zoo_mine", value)
    monkeypatch.syspath_prepend(package)
    with pytest.raises(presets.PresetError, match=message):
        presets.names()


@pytest.mark.usefixtures("fresh")
def test_two_packages_with_one_preset_s_name_are_named(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("first", "second"):
        announce(package, name, "zoo_mine.presets")
    monkeypatch.syspath_prepend(package)
    with pytest.raises(
        presets.PresetError, match=r"the preset .mine. of .* is already shipped as .*mine\.yaml"
    ):
        presets.names()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_s_package_has_a_preset_that_is_right(
    zoo: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, fresh: Any
) -> None:
    assert zoo("new", kind, "mine", "--package").exit_code == 0
    announce(tmp_path / "mine", "zoo_mine", "zoo_mine.presets")
    monkeypatch.syspath_prepend(tmp_path / "mine")
    plugin = tmp_path / "mine/zoo_mine/mine.py"
    result = zoo("check", "mine", "--scale", "tiny", "--plugin", plugin)
    assert result.exit_code == 0, result.output


@pytest.mark.slow
def test_a_package_is_installed_in_a_fresh_environment_and_trains(package: Path, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", "--system-site-packages", environment], check=True
    )
    python = str(environment / "bin/python")
    (site,) = environment.glob("lib/python*/site-packages")
    ours = sysconfig.get_path("purelib")  # that of an environment itself is no system's
    (site / "ours.pth").write_text(f"import site; site.addsitedir({ours!r})\n")
    install = ("pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", str(package))
    done = run(*install, cwd=tmp_path, python=python)
    assert done.returncode == 0, done.stderr
    for words in (
        ("pytest", "-q", "-k", "not test_laws", "-p", "no:cacheprovider", str(package / "tests")),
        ("zoo.cli.main", "list", "presets"),
        (
            "zoo.cli.main",
            "train",
            "mine",
            "--scale",
            "tiny",
            "training.max_steps=3",
            "--quiet",
            "--out",
            "run",
        ),
        ("zoo.cli.main", "evaluate", "run"),
    ):
        done = run(*words, cwd=tmp_path, python=python)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "list" not in words or "\nmine " in done.stdout
