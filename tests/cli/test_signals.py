"""A signal ends every command at every moment, with one line, its exit code and no process left behind."""

from __future__ import annotations

import os
import pty
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 143, signal.SIGUSR1: 143}
WAYS = {
    "module": ["-m", "zoo.cli.main"],
    "console script": ["-c", "import sys; from zoo.cli.start import main; sys.exit(main())"],
}
TRAIN = ["train", "TINY"]  # which the fixture `train` spells out

# Runs at the start of an interpreter: at the first event of that kind whose subject contains a text, it sends
# its own process a signal, and a second one where that is asked for.
HOOK = """
import os, sys, threading
words = os.environ.get("SIGNAL_AT", "").split("|")
if len(words) == 4:
    event_wanted, text, number, pause = words[0], words[1], int(words[2]), float(words[3])
    process, sent = os.getpid(), []
    def hook(event, arguments):
        if event == event_wanted and not sent and text in str(arguments[0]) and os.getpid() == process:
            sent.append(event)
            if pause >= 0:
                threading.Timer(pause, os.kill, (process, number)).start()
            os.kill(process, number)
    def profile(frame, event, argument):
        hook(event, [f"{frame.f_code.co_filename}:{frame.f_code.co_name}"])
    if event_wanted == "call":  # of a function, by its file and name
        sys.setprofile(profile)
    sys.addaudithook(hook)
"""

# By name: the command, and the event at which the signal comes.
MOMENTS = {
    "starting": (["check", "quickstart"], "import", "typer"),
    "importing torch": (["check", "quickstart"], "import", "torch._C"),
    "importing lightning": (TRAIN, "import", "lightning.pytorch"),
    "setting up": (TRAIN, "open", ".spec.yaml."),
    "making the cache": (TRAIN, "open", "source.values"),
    "opening the journal": (TRAIN, "open", "metrics.jsonl"),
    "saving": (TRAIN, "os.mkdir", ".step-1."),
    "validating": (TRAIN, "call", "prepared.py:measure"),
    "averaging": (TRAIN, "os.mkdir", "average"),
    "evaluating": (["evaluate", "RUN"], "import", "sacrebleu"),
    "writing results": (["evaluate", "RUN"], "open", ".results.json."),
    "loading a model": (["generate", "RUN"], "open", "index.json"),
}
NOTED = ("saving", "validating", "averaging")
"""Where a signal is only noted, and the run saved first."""


def as_from_a_terminal() -> None:
    """Whatever started these tests may have had the signals ignored."""
    for number in CODES:
        signal.signal(number, signal.SIG_DFL)


def start(way: str, words: Sequence[str], folder: Path, **environment: str) -> subprocess.Popen[str]:
    """A command in a session of its own, in `folder`, its standard input left open."""
    (folder / "site").mkdir(exist_ok=True)
    (folder / "site" / "sitecustomize.py").write_text(HOOK, encoding="utf-8")
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join([str(folder / "site"), root])
    return subprocess.Popen(
        [sys.executable, *WAYS[way], *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **environment},
        start_new_session=True,
        preexec_fn=as_from_a_terminal,
    )


def survivors(session: int) -> list[int]:
    """The processes of a session that still run."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        if int(state[3]) == session and state[0] != "Z":
            found.append(int(folder.name))
    return found


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """The exit code and the messages of a command that ends by itself, and leaves nobody behind."""
    _, messages = process.communicate(timeout=120)
    time.sleep(0.1)
    assert survivors(process.pid) == []
    return process.returncode, messages


def check(code: int, messages: str, number: signal.Signals, *, is_noted: bool) -> None:
    """What a user sees of a signal."""
    assert code == CODES[number], messages
    assert "Traceback" not in messages, messages
    assert "Exception" not in messages, messages
    last = "interrupted" if number is signal.SIGINT else f"stopped by {number.name}"
    further = "; what was trained is saved, resume to go on" if is_noted and last != "interrupted" else ""
    assert messages.splitlines()[-1] == last + further


@pytest.fixture
def train(tiny: tuple[str, ...]) -> list[str]:
    """The command that trains, with many checkpoints and an average."""
    return ["train", *tiny, "--out", "run", "training.checkpoint_every=1", "training.average_last=2"]


@pytest.fixture
def tell(trained: tuple[Path, str], train: list[str], tmp_path: Path) -> Callable[..., None]:
    """Sends a signal at a moment, and a second one after a pause, and checks how the command ends."""

    def send(moment: str, way: str, number: signal.Signals, pause: float = -1) -> None:
        words, event, text = MOMENTS[moment]
        if "RUN" in words:
            shutil.copytree(trained[0], tmp_path / "copy")
        command = train if words is TRAIN else ["copy" if word == "RUN" else word for word in words]
        process = start(way, command, tmp_path, SIGNAL_AT=f"{event}|{text}|{int(number)}|{pause}")
        code, messages = ended(process)
        check(code, messages, number, is_noted=moment in NOTED and pause < 0)

    return send


@pytest.mark.parametrize(
    ("moment", "way", "number"),
    [
        ("starting", "console script", signal.SIGTERM),
        ("importing torch", "console script", signal.SIGINT),
        ("saving", "console script", signal.SIGHUP),
        ("writing results", "module", signal.SIGUSR1),
    ],
)
def test_a_signal_ends_a_command_at_any_moment(
    tell: Callable[..., None], moment: str, way: str, number: signal.Signals
) -> None:
    tell(moment, way, number)


def test_a_second_interrupt_ends_a_save_at_once(tell: Callable[..., None]) -> None:
    tell("saving", "module", signal.SIGINT, pause=0.0)


def test_a_command_that_waits_for_text_ends_too(trained: tuple[Path, str], tmp_path: Path) -> None:
    process = start("module", ["generate", str(trained[0])], tmp_path)
    time.sleep(6)
    process.send_signal(signal.SIGINT)
    check(*ended(process), signal.SIGINT, is_noted=False)


def test_an_ignored_signal_stays_ignored(tmp_path: Path) -> None:
    """As under nohup."""
    process = start("module", ["check", "quickstart"], tmp_path, SIGNAL_AT="import|torch._C|1|-1")
    assert ended(process)[0] == 143
    ignoring = [
        sys.executable,
        "-c",
        "import os, signal, sys; signal.signal(1, signal.SIG_IGN); os.execv(sys.executable, sys.argv[1:])",
    ]
    root = str(Path(__file__).resolve().parents[2])
    environment = {
        **os.environ,
        "PYTHONPATH": f"{tmp_path / 'site'}{os.pathsep}{root}",
        "SIGNAL_AT": "import|torch._C|1|-1",
    }
    command = [*ignoring, sys.executable, *WAYS["module"], "check", "quickstart"]
    assert subprocess.run(command, env=environment, cwd=tmp_path, timeout=120, check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("number", CODES, ids=lambda number: number.name)
@pytest.mark.parametrize("moment", MOMENTS)
def test_each_signal_ends_each_command_at_each_moment(
    tell: Callable[..., None], moment: str, number: signal.Signals
) -> None:
    tell(moment, "module", number)


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_second_interrupt_shows_no_traceback(tell: Callable[..., None], moment: str) -> None:
    tell(moment, "console script", signal.SIGINT, pause=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_a_signal_at_a_random_time_ends_training_with_data_processes(
    train: list[str], tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    number = chance.choice(list(CODES))
    process = start("module", [*train, "training.data_workers=2", "training.max_steps=300"], tmp_path)
    wait_until_it_listens(process)
    time.sleep(chance.uniform(0, 15))
    os.killpg(process.pid, number)
    if number is signal.SIGINT and chance.random() < 0.5:
        time.sleep(chance.uniform(0, 0.3))
        if process.poll() is None:
            os.killpg(process.pid, number)
    code, messages = ended(process)
    assert code == CODES[number], messages
    assert "Traceback" not in messages, messages


def wait_until_it_listens(process: subprocess.Popen[str]) -> None:
    """Before Python has read our first line, a signal kills it as it kills any program."""
    while process.poll() is None:
        status = Path(f"/proc/{process.pid}/status").read_text()
        caught = int(status.partition("SigCgt:")[2].split()[0], 16)
        if caught >> (signal.SIGTERM - 1) & 1:
            return
        time.sleep(0.005)


@pytest.mark.slow
def test_a_run_whose_terminal_is_closed_is_saved(train: list[str], tmp_path: Path) -> None:
    """As when a connection breaks: whatever is printed then goes nowhere, and must not stop the save."""
    process, terminal = pty.fork()
    if not process:
        as_from_a_terminal()
        os.chdir(tmp_path)
        os.environ["PYTHONPATH"] = str(Path(__file__).resolve().parents[2])
        os.execv(sys.executable, [sys.executable, *WAYS["module"], *train, "training.max_steps=100000"])
    deadline = time.monotonic() + 120
    while last_step(tmp_path / "run") < 1 and time.monotonic() < deadline:
        os.read(terminal, 65536)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 143
    assert survivors(process) == []
    assert last_step(tmp_path / "run") < 100000


@pytest.mark.slow
@pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere a worker looks for its parent every five seconds"
)
def test_data_processes_do_not_outlive_a_killed_training(train: list[str], tmp_path: Path) -> None:
    further = ["training.max_steps=100000", "training.data_workers=2"]
    process = start("module", [*train, *further], tmp_path)
    wait_for_step(tmp_path / "run", process, beyond=0)
    assert len(survivors(process.pid)) == 3
    process.kill()
    process.communicate(timeout=60)
    time.sleep(0.2)
    assert survivors(process.pid) == []


@pytest.mark.slow
def test_signals_lose_nothing_of_a_training(train: list[str], tmp_path: Path) -> None:
    further = ["training.max_steps=100000", "training.checkpoint_every=2", "training.validate_every=100000"]
    process = start("module", [*train, *further], tmp_path)
    reached = wait_for_step(tmp_path / "run", process, beyond=0)
    process.send_signal(signal.SIGTERM)
    check(*ended(process), signal.SIGTERM, is_noted=True)
    reached = last_step(tmp_path / "run")
    process = start("module", ["resume", "run"], tmp_path)
    assert wait_for_step(tmp_path / "run", process, beyond=reached) > reached
    process.send_signal(signal.SIGINT)
    check(*ended(process), signal.SIGINT, is_noted=True)


def wait_for_step(run: Path, process: subprocess.Popen[str], *, beyond: int) -> int:
    """The step of the first checkpoint beyond another."""
    deadline = time.monotonic() + 120
    while (step := last_step(run)) <= beyond and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    return step


def last_step(run: Path) -> int:
    """The step of a run's newest checkpoint."""
    steps = (path.name.removeprefix("step-") for path in run.glob("checkpoints/step-*"))
    return max((int(step) for step in steps if step.isdecimal()), default=-1)
