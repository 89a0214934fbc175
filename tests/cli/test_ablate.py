"""zoo ablate: what it says before it trains, and its exit codes where it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ablation.pretending import small
from tests.cli.conftest import Zoo


@pytest.fixture
def file(tmp_path: Path) -> Path:
    import presets

    path = tmp_path / "heads.yaml"
    path.write_text(presets.to_yaml(small()), encoding="utf-8")
    return path


def test_a_dry_run_prints_the_plan_and_trains_nothing(zoo: Zoo, file: Path, tmp_path: Path) -> None:
    result = zoo("ablate", file, "--dry-run", "training.max_steps=5")
    assert result.exit_code == 0, result.stderr
    assert "2 variants of char_gpt and the base, 2 seeds each: 6 trainings, 30 steps" in result.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["heads.yaml"]


def test_every_mistake_is_told_at_once_with_exit_code_2(zoo: Zoo, file: Path, tmp_path: Path) -> None:
    file.write_text(
        file.read_text(encoding="utf-8")
        .replace("n_heads: 1", "n_heads: 5")
        .replace("n_layers: 1", "n_layers: 0")
    )
    result = zoo("ablate", file)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.count("variant 'one_head'") == result.stderr.count("variant 'shallow'") == 1
    assert all(line.startswith(f"{file}:") for line in result.stderr.splitlines())
    assert [path.name for path in tmp_path.iterdir()] == ["heads.yaml"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nowhere.yaml",), "nowhere.yaml: cannot be read (No such file or directory)"),
        ((), "ablate needs FILE [KEY=VALUE]..."),
        (("",), "one FILE is needed, and its name is empty"),
        (
            ("heads.yaml", "--dry-run", "--engine-option", "x"),
            "--engine-option x: an option is written KEY=VALUE",
        ),
        (("a.yaml", "b.yaml"), "one FILE is needed, and 2 are given: a.yaml, b.yaml"),
    ],
)
@pytest.mark.usefixtures("file")
def test_a_file_that_is_none_is_told(zoo: Zoo, words: tuple[str, ...], said: str) -> None:
    result = zoo("ablate", *words)
    assert result.exit_code == 2
    assert said in result.stderr
