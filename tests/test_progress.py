"""What is shown of long work: a bar on a terminal, elsewhere a line now and then, and nothing unless asked."""

from __future__ import annotations

import io
import subprocess
import sys
import time

import pytest

from zoo import progress
from zoo.progress import Bar, counted


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_where_there_is_no_terminal_a_line_comes_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0.05)
    with Bar() as bar:
        bar("reading", 3, None)
        bar("translating", 1234, 5678)
        time.sleep(0.12)
        bar("training", 0, None)
        time.sleep(0.06)  # nothing calls meanwhile
    said = capsys.readouterr()
    assert said.out == ""
    lines = said.err.splitlines()
    assert set(lines) == {"translating  1,234 of 5,678", "training"}
    assert 2 <= len(lines) <= 4


def test_work_that_is_soon_done_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Bar() as bar:
        bar("translating", 1, 2)
    assert capsys.readouterr().err == ""


def test_nothing_is_shown_unless_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0.01)
    with Bar(is_shown=False) as bar:
        bar("translating", 1, 2)
        time.sleep(0.05)
    assert capsys.readouterr().err == ""


def test_a_terminal_has_a_bar_that_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with Bar() as bar:
        bar("reading", 5, None)
        bar("translating [test]", 0, 5678)
        bar("translating [test]", 1234, 5678)
        bar._rich.refresh()  # type: ignore[union-attr]
        shown = terminal.getvalue()
    assert "translating [test]" in shown
    assert "1,234 of 5,678" in shown
    assert terminal.getvalue().endswith("\x1b[2K")  # the line is wiped


def test_an_error_ends_the_bar_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    bar = Bar()

    def work() -> None:
        with bar:
            bar("translating", 1, 2)
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        work()
    assert bar._rich is not None
    assert bar._rich.live.is_started is False


def test_items_are_counted_as_they_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "COUNT_EVERY", 2)
    said: list[tuple[str, int, int | None]] = []
    assert list(counted("abcde", lambda *now: said.append(now), "letters", 5)) == list("abcde")
    assert said == [("letters", 0, 5), ("letters", 2, 5), ("letters", 4, 5)]
    assert list(counted("abc", None, "letters")) == list("abc")


def test_it_imports_neither_torch_nor_rich() -> None:
    code = "import sys, zoo.progress; print(sorted({'torch', 'rich'} & set(sys.modules)))"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "[]\n"
    )
