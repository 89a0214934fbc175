"""What `zoo train` leaves and says where it ends early, or never begins."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import zoo
from tests.cli.conftest import TINY
from zoo.cli.text import next_text
from zoo.errors import DataError
from zoo.run.telling import early_end
from zoo.tasks.prepared import PreparedTask
from zoo.training.plugins import PLUGINS_FILE


def test_the_last_lines_say_that_time_ended_a_run_and_the_command_goes_on_to_the_end(zoo: Any) -> None:
    result = zoo("train", *TINY, "training.max_minutes=1e-5", "--out", "short")
    assert result.exit_code == 0, result.stderr
    assert "max_minutes 1e-05 holds 1: the schedule ends there" in result.stderr
    text, command = result.stdout.splitlines()[-2:]
    assert (
        text
        == "Training ended at step 1 of 3: as many as the time was found to hold when it began. To go on:"
    )
    assert command == "  zoo resume short training.max_minutes=0.5 training.schedule.total_steps=3"
    went_on = zoo(*command.split()[1:])
    assert went_on.exit_code == 0, went_on.stderr
    head = went_on.stderr.splitlines()[0]
    assert "; 3 steps, 2 of them left, at a first guess " in head
    assert head.endswith(", at most 30 s in all")
    assert "step 3/3" in went_on.stderr
    assert "Training ended" not in went_on.stdout


def test_minutes_to_go_on_are_those_that_the_steps_took(zoo: Any) -> None:
    schedule = "training.schedule={type: noam, warmup_steps: 5}"
    assert zoo("train", *TINY, schedule, "training.max_minutes=1e-5", "--out", "cut").exit_code == 0
    with (Path("cut") / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "train", "step": 1, "seconds": 600.0}\n')
    # 600 s a step, three steps, and a fifth: 36 minutes
    assert early_end(Path("cut")) == (
        "Training ended at step 1 of 3: training.max_minutes=1e-05 were over. To go on:\n"
        "  zoo resume cut training.max_minutes=36"
    )


def test_a_schedule_fitted_to_the_time_says_what_it_left_out(
    zoo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoo.training.fit.seconds_a_batch", lambda *_, **__: 1.0)
    result = zoo(
        "train", *TINY, "training.schedule.warmup_steps=1", "training.max_minutes=0.042", "--out", "fitted"
    )
    assert result.exit_code == 0, result.stderr
    assert "max_minutes 0.042 holds 2: the schedule ends there" in result.stderr
    assert early_end(Path("fitted")) == (
        "Training ended at step 2 of 3: as many as the time was found to hold when it began. "
        "To go on:\n  zoo resume fitted training.max_minutes=0.5 training.schedule.total_steps=3"
    )
    done = zoo("resume", "fitted")
    assert done.exit_code == 0
    further = "zoo resume fitted training.max_minutes=0.5 training.schedule.total_steps=3"
    assert (done.stderr + done.stdout).count(further) == 1
    went_on = zoo("resume", "fitted", "training.max_minutes=0.5", "training.schedule.total_steps=3")
    assert went_on.exit_code == 0, went_on.stderr
    assert early_end(Path("fitted")) is None


def test_a_run_that_took_all_its_steps_has_no_early_end(trained: tuple[Path, str]) -> None:
    assert early_end(trained[0]) is None
    assert "Training ended" not in trained[1]


@pytest.mark.parametrize(
    "words",
    [["multi30k_small", "task.data.folder=gone"], [*TINY, "training.tokens_per_batch=2"]],
    ids=["no data", "no batch"],
)
@pytest.mark.parametrize("out", [(), ("--out", "mine")], ids=["named for it", "--out"])
def test_a_failed_attempt_leaves_no_folder(zoo: Any, words: list[str], out: tuple[str, ...]) -> None:
    result = zoo("train", *words, *out)
    assert result.exit_code == 3, result.stderr
    assert "resume" not in result.stderr
    assert not Path("mine").exists()
    assert not list(Path("runs").glob("*"))


@pytest.mark.parametrize("word", ["the", "no such word"])
def test_an_attempt_that_has_written_all_it_can_leaves_no_folder(
    zoo: Any, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    """Word vectors are refused after the data is prepared, the first validation after the first steps."""
    Path("words.vec").write_text(f"1 12\n{word.replace(' ', '')}{' 0.5' * 12}\n", encoding="utf-8")
    left: set[str] = set()

    def refuse(*_: object, **__: object) -> None:
        left.update(path.name for path in Path("mine").iterdir())
        raise DataError("refused")

    monkeypatch.setattr(PreparedTask, "measure", refuse)
    monkeypatch.setattr("zoo.training.fit.record_plugins", lambda folder, _: (folder / PLUGINS_FILE).touch())
    own = ("model.target={type: tokens, vocab_size: 61}", "model.head.tied=false")
    often = ("training.log_every=1", "training.validate_every=1")
    result = zoo("train", *TINY, *own, *often, "task.word_vectors.source=words.vec", "--out", "mine")
    assert result.exit_code == 3, result.output
    assert "resume" not in result.stderr or word == "the"
    assert not Path("mine").exists(), sorted(path.name for path in Path("mine").iterdir())
    if word == "the":
        assert {"metrics.jsonl", "word_vectors.json", "tokenizer.source.json", "environment.json"} <= left


def test_a_folder_that_was_there_stays(zoo: Any) -> None:
    Path("mine").mkdir()
    assert zoo("train", *TINY, "training.tokens_per_batch=2", "--out", "mine").exit_code == 3
    assert Path("mine").is_dir()


def test_the_first_lines_say_where_in_what_and_how_much_and_then_how_to_go_on(zoo: Any) -> None:
    result = zoo("train", *TINY, "--out", "seen here")
    head, example, plan, opening, *_ = result.stderr.splitlines()
    assert head.startswith("cpu (")
    assert re.search(r", \d+ threads?\), fp32: as the spec says; ", head)
    assert " parameters; up to " in head
    assert "tokens a side and step; 3 steps, at a first guess " in head
    assert example.startswith("the first example: ")
    assert plan.startswith("about ")
    assert opening == "run: seen here (after an interruption: zoo resume 'seen here')"


def test_quiet_shows_neither_progress_nor_plan_but_what_has_consequences(
    zoo: Any, caplog: pytest.LogCaptureFixture
) -> None:
    late = ("training.schedule.warmup_steps=9", "training.max_minutes=1e-5")
    zoo("train", *TINY, *late)
    assert "warmup_steps (9) is not less than" in caplog.text
    caplog.clear()
    assert zoo("train", *TINY, *late, "--quiet").stderr == caplog.text == ""
    assert zoo("train", *TINY, "task.max_length=25", "--quiet").stderr == ""
    assert "left out: over max_length" in caplog.text
    told = " ".join(zoo("train", "--help").stdout.split())
    assert "no progress and no plan; warnings of what has consequences stay" in told


@pytest.mark.parametrize(
    ("preset", "use"),
    [
        ("char_gpt", "zoo generate RUN FILE_OF_LINES"),
        ("t5_small", "zoo generate RUN FILE_OF_LINES"),
        ("tagger_small", "zoo predict RUN FILE_OF_LINES"),
        ("bert_base", "zoo predict RUN FILE_OF_LINES"),
        ("vit_small_fashion", "zoo predict RUN FILE..."),
        ("whisper_tiny", "zoo predict RUN FILE..."),
        ("patch_tst", "zoo predict RUN FILE..."),
    ],
)
def test_the_command_that_is_named_at_the_end_suits_the_task(preset: str, use: str, tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(zoo.to_yaml(zoo.load(preset, scale="tiny")), encoding="utf-8")
    lines = next_text(tmp_path, {"samples": []}).splitlines()
    assert lines[1].strip() == use.replace("RUN", str(tmp_path))
    assert lines[2].strip() == f"zoo evaluate {tmp_path}"


@pytest.mark.slow
def test_several_devices_are_refused_where_the_program_is_no_file(tmp_path: Path) -> None:
    """Lightning would start it again for each, which fails without a word."""
    program = (
        "import zoo; zoo.train(zoo.load('quickstart', 'training.devices=2', 'training.accelerator=cpu', scale='tiny'),"
        " 'run', progress=False)"
    )
    done = subprocess.run(
        [sys.executable, "-"],
        input=program,
        cwd=tmp_path,
        text=True,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "training.devices: 2 devices are 2 processes" in last
    assert list(tmp_path.iterdir()) == []
