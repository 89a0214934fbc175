"""One training as a process: how it is started, gone on with, waited for, and what its end is called."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from registry import SpecError
from tests.ablation.pretending import plan_of, small
from zoo.ablation import trial as trials
from zoo.ablation.ablating import ablate
from zoo.ablation.engines import Here, lost, make_engine
from zoo.ablation.plan import Trial
from zoo.ablation.trial import Child, Job, Outcome, file_of, outcome, record_of, work
from zoo.errors import RunError
from zoo.storage.ownership import owned

TRIAL = Trial("wide", 3)


class Says(Child):
    """A process that says something and ends with a code, each time the next of several."""

    def __init__(self, *codes: int, says: str = "", first: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.codes, self.says, self.first = list(codes), says, first
        self.words: list[list[str]] = []

    def run(self, words: list[str], log: Path, job: Job) -> int:
        self.first()
        self.words.append(words)
        with log.open("a", encoding="utf-8") as stream:
            stream.write(self.says)
        return self.codes.pop(0)


@pytest.mark.parametrize(
    ("code", "says", "expected"),
    [
        (0, "a warning\n", Outcome("done")),
        (4, "one\ntraining diverged: at once\n\n", Outcome("diverged", "training diverged: at once")),
        (2, "one\nfile.py:3: no such thing\n", Outcome("failed", "file.py:3: no such thing")),
        (5, "", Outcome("failed", "exit code 5, without a word")),
        (-9, "", Outcome("failed", "killed by SIGKILL, as the system does where memory is short")),
        (-6, "abort\n", Outcome("failed", "killed by SIGABRT; its last words: abort")),
    ],
)
def test_an_end_is_recorded_with_what_was_said_last(
    tmp_path: Path, code: int, says: str, expected: Outcome
) -> None:
    assert work(Job(tmp_path, TRIAL), Says(code, says=says)) == expected
    assert outcome(tmp_path, TRIAL) == expected


def test_what_an_earlier_attempt_said_is_not_this_ones_reason(tmp_path: Path) -> None:
    work(Job(tmp_path, TRIAL), Says(1, says="the first reason\n"))
    assert work(Job(tmp_path, TRIAL), Says(1)) == Outcome("failed", "exit code 1, without a word")


@pytest.mark.parametrize("code", [143, 130, -15, -2, -1])
def test_one_that_was_told_to_end_has_no_outcome(tmp_path: Path, code: int) -> None:
    assert work(Job(tmp_path, TRIAL), Says(code)) is None
    assert outcome(tmp_path, TRIAL) is None


def test_a_new_training_is_of_the_planned_spec_and_one_that_has_begun_is_resumed(tmp_path: Path) -> None:
    """Also where it was killed before its first checkpoint, for then it may have written a few records already."""
    child = Says(0, 0)
    job = Job(tmp_path, TRIAL, (tmp_path / "p.py",))
    work(job, child)
    (tmp_path / TRIAL.place).mkdir()
    (tmp_path / TRIAL.place / "spec.yaml").touch()
    work(job, child)
    place, spec, plugin = (str(tmp_path / each) for each in (TRIAL.place, "specs/wide/seed-3.yaml", "p.py"))
    assert child.words == [
        ["train", spec, "--out", place, "--plugin", plugin, "--quiet"],
        ["resume", place, "--plugin", plugin, "--quiet"],
    ]


def test_the_end_of_one_that_another_process_still_trains_is_waited_for(tmp_path: Path) -> None:
    place = tmp_path / TRIAL.place
    place.mkdir(parents=True)
    started = threading.Event()
    child = Says(0, first=started.set)
    with owned(place):
        thread = threading.Thread(target=work, args=(Job(tmp_path, TRIAL), child))
        thread.start()
        assert not started.wait(0.5)
    thread.join(10)
    assert started.is_set()
    assert outcome(tmp_path, TRIAL) == Outcome("done")


def test_one_that_met_another_owner_is_not_taken_for_a_failure(tmp_path: Path) -> None:
    place = tmp_path / TRIAL.place
    place.mkdir(parents=True)
    child = Says(5, 0, says="in use\n")
    held = owned(place)
    entered: list[bool] = []

    def first() -> None:
        if not entered:  # takes it between the look and the start, and lets go later
            held.__enter__()
            entered.append(True)
            threading.Timer(0.5, lambda: held.__exit__(None, None, None)).start()

    child.first = first
    assert work(Job(tmp_path, TRIAL), child) == Outcome("done")
    assert child.codes == []


def test_a_record_that_is_damaged_is_named(tmp_path: Path) -> None:
    file = record_of(tmp_path, TRIAL)
    file.parent.mkdir(parents=True)
    file.write_text("{}", encoding="utf-8")
    with pytest.raises(RunError, match=r"trials/wide/seed-3\.json: damaged"):
        outcome(tmp_path, TRIAL)


def test_endings_are_added_whatever_points_a_name_has(tmp_path: Path) -> None:
    tried = Trial("wide", 0, ("training.schedule.peak_lr=0.001",))
    assert file_of(tmp_path, "logs", tried, ".log").name == "training.schedule.peak_lr=0.001.log"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent has died")
def test_a_process_is_told_to_end_when_its_parent_is_killed(tmp_path: Path) -> None:
    ready, told = (str(tmp_path / name) for name in ("ready", "told"))
    child = f"import signal, sys, time; signal.signal(15, lambda *_: (open({told!r}, 'w'), sys.exit()))"
    child += f"; open({ready!r}, 'w'); time.sleep(60)"
    parent = "import os, subprocess, sys; from zoo.ablation.trial import _LAUNCHER"
    parent += f"; subprocess.run([sys.executable, '-c', _LAUNCHER, str(os.getpid()), sys.executable, '-c', {child!r}])"
    process = subprocess.Popen([sys.executable, "-c", parent])
    until_there(tmp_path / "ready")
    process.kill()
    process.wait()
    until_there(tmp_path / "told")


def until_there(file: Path) -> None:
    end = time.monotonic() + 120
    while not file.exists():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_side_by_side_each_has_gpus_in_turn_and_a_share_of_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,7")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("zoo.ablation.engines._n_cores", lambda: 13)
    one, two = plan_of().base.run, plan_of(overrides={"training.devices": 2}).base.run
    engine = Here(3)
    assert [engine._environment(one, slot)["CUDA_VISIBLE_DEVICES"] for slot in range(3)] == ["4", "5", "7"]
    assert [engine._environment(two, slot)["CUDA_VISIBLE_DEVICES"] for slot in range(3)] == [
        "4,5",
        "7,4",
        "5,7",
    ]
    assert engine._environment(one, 0)["OMP_NUM_THREADS"] == "4"
    assert Here(1)._environment(one, 0) == {}


def test_a_training_that_its_engine_loses_has_failed_unless_it_recorded_its_end(tmp_path: Path) -> None:
    job = Job(tmp_path, TRIAL)
    work(job, Says(0))
    assert lost(job, OSError("node\ngone")) == Outcome("done")
    other = Job(tmp_path, Trial("wide", 4))
    assert lost(other, OSError("node\ngone")) == Outcome("failed", "the engine lost it: node gone")


def test_an_engine_that_is_none_or_an_option_that_here_has_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no engine is called 'rya'; did you mean 'ray'"):
        make_engine("rya", tmp_path, jobs=None, options={})
    with pytest.raises(SpecError, match="engine here has no options"):
        make_engine("here", tmp_path, jobs=None, options={"address": "auto"})


@pytest.mark.parametrize(("name", "package"), [("ray", "ray"), ("slurm", "submitit")])
def test_an_engine_whose_package_is_not_installed_says_how_to_have_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    said = rf"the package {package} is not installed: pip install 'architecture-zoo\[{name}\]'"
    with pytest.raises(SpecError, match=said):
        make_engine(name, tmp_path, jobs=None, options={})


def test_a_stopped_child_starts_nothing(tmp_path: Path) -> None:
    child = Child()
    child.stop()
    assert work(Job(tmp_path, TRIAL), child) is None
    assert trials.LOGS in {path.name for path in tmp_path.iterdir()}


def test_an_engine_that_is_none_is_refused_before_anything_is_planned(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no engine is called 'foo'"):
        ablate(small(), out=tmp_path, engine="foo", planned=lambda plan: pytest.fail("planned"))


def test_a_file_is_no_folder_for_runs(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("mine", encoding="utf-8")
    with pytest.raises(RunError, match=r"a\.log: is a file; the runs of an ablation go into a folder"):
        ablate(small(), out=tmp_path / "a.log")
    assert (tmp_path / "a.log").read_text(encoding="utf-8") == "mine"
