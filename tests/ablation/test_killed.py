"""An ablation that is killed and started again ends with what an undisturbed one gives, bit for bit, on all engines."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

import presets
from tests.ablation.pretending import small
from zoo.storage.records import read_json

pytestmark = pytest.mark.slow

TUNE = {"training.schedule.peak_lr": [0.001, 0.003]}
LONG = {"training.max_steps": 60, "training.validate_every": 20, "training.checkpoint_every": 7}
SHALLOW = {"shallow": {"model.decoder.n_layers": 1}}
LIMIT_S = 600


def written(folder: Path, **changes: Any) -> Path:
    folder.mkdir(parents=True)
    file = folder / "a.yaml"
    data = small(variants=SHALLOW, overrides=LONG, seeds=[1], **changes)
    file.write_text(presets.to_yaml(data), encoding="utf-8")
    return file


def started(file: Path, *words: str) -> subprocess.Popen[bytes]:
    """`zoo ablate FILE`, its runs in `out` beside the file."""
    command = [
        sys.executable,
        "-m",
        "zoo.cli.main",
        "ablate",
        str(file),
        "--quiet",
        "--out",
        str(file.parent / "out"),
    ]
    with (file.parent / "said.txt").open("ab") as said:
        return subprocess.Popen([*command, *words], stdout=said, stderr=said, start_new_session=True)


def done(file: Path, *words: str) -> dict[str, Any]:
    """What an ablation that is started and let alone gives."""
    process = started(file, *words)
    try:
        code = process.wait(LIMIT_S)
    finally:
        if process.poll() is None:
            process.kill()
    assert code == 0, (file.parent / "said.txt").read_text(encoding="utf-8")
    return found(file)


def found(file: Path) -> dict[str, Any]:
    """All that an ablation says which is no time."""
    folder = file.parent / "out"
    said = {}
    with closing(sqlite3.connect(folder / "results.sqlite")) as table:
        for name in ("variants", "trials", "scores", "curves"):
            rows = table.execute(f"SELECT * FROM {name}")
            columns = [each[0] for each in rows.description]
            said[name] = [
                {key: value for key, value in zip(columns, row, strict=True) if key != "seconds"}
                for row in rows
            ]
    said["tuned"] = [read_json(path) for path in sorted(folder.glob("trials/*/tuned.json"))]
    said["weights"] = [
        (str(path.relative_to(folder)), path.read_bytes())
        for path in sorted(folder.glob("runs/*/seed-*/checkpoints/step-60/*.safetensors"))
    ]
    return said


def children(process: int) -> list[int]:
    return [
        int(word)
        for file in Path(f"/proc/{process}/task").glob("*/children")
        for word in file.read_text(encoding="utf-8").split()
    ]


def until_there(process: subprocess.Popen[bytes], folder: Path, pattern: str) -> None:
    """Waits for a file that a process makes before it ends."""
    end = time.monotonic() + LIMIT_S
    while not any(folder.glob(pattern)):
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.1)
    assert process.poll() is None


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], float]:
    """What the ablation gives here, and how many seconds it takes."""
    file = written(tmp_path_factory.mktemp("undisturbed") / "a", tune=TUNE, tune_steps=20)
    start = time.monotonic()
    return done(file), time.monotonic() - start


def test_killed_again_and_again_it_ends_with_the_same(
    tmp_path: Path, undisturbed: tuple[dict[str, Any], float]
) -> None:
    expected, seconds = undisturbed
    assert [each["status"] for each in expected["trials"]] == ["done", "done"]
    assert len(expected["weights"]) == 2
    file = written(tmp_path / "a", tune=TUNE, tune_steps=20)
    generator = random.Random(5)
    n_killed = 0
    while n_killed < 6:
        process = started(file)
        try:
            process.wait(generator.uniform(0, seconds / 3))
            break
        except subprocess.TimeoutExpired:
            under_way = children(process.pid)
            process.kill()
            if n_killed % 2:
                for each in under_way:
                    with suppress(ProcessLookupError):
                        os.kill(each, signal.SIGKILL)
            process.wait()
            n_killed += 1
    assert n_killed >= 3
    assert done(file) == expected


def test_told_to_end_all_trainings_save_and_the_same_command_goes_on(
    tmp_path: Path, undisturbed: tuple[dict[str, Any], float]
) -> None:
    file = written(tmp_path / "a", tune=TUNE, tune_steps=20)
    checkpoints = file.parent / "out/runs/base/seed-1/checkpoints"
    for number, code in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
        process = started(file, "--jobs", "2")
        until_there(process, checkpoints, "step-*")
        while not children(process.pid):  # the second time they are there before it listens to signals
            time.sleep(0.1)
        process.send_signal(number)
        assert process.wait(LIMIT_S) == code
        assert any(checkpoints.glob("step-*"))
    assert done(file) == undisturbed[0]


def test_the_table_is_made_again_from_the_run_folders_without_training(tmp_path: Path) -> None:
    file = written(tmp_path / "a")
    before = done(file)
    (file.parent / "out/results.sqlite").unlink()
    times = {path: path.stat().st_mtime_ns for path in (file.parent / "out/runs").rglob("metrics.jsonl")}
    assert done(file) == before
    assert {path: path.stat().st_mtime_ns for path in times} == times


@pytest.mark.parametrize(
    "words",
    [
        ("--engine", "ray", "--engine-option", "num_cpus=2"),
        ("--engine", "slurm", "--engine-option", "cluster=local", "--jobs", "2"),
    ],
    ids=["ray", "slurm"],
)
def test_an_engine_that_is_killed_goes_on_with_the_same(
    tmp_path: Path, words: tuple[str, ...], undisturbed: tuple[dict[str, Any], float]
) -> None:
    pytest.importorskip({"ray": "ray", "slurm": "submitit"}[words[1]])
    file = written(tmp_path / "a", tune=TUNE, tune_steps=20)
    process = started(file, *words)
    until_there(process, file.parent / "out/runs", "*/*/*/checkpoints/step-*")
    process.kill()
    process.wait()
    assert done(file, *words) == undisturbed[0]
