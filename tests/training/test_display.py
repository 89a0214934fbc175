"""What is seen of a training: on a terminal of 80 columns, and where lines are kept."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from zoo.training.display import Display


def terminal(monkeypatch: pytest.MonkeyPatch, width: int) -> io.StringIO:
    """What a display writes to a terminal of that width."""
    written = io.StringIO()
    monkeypatch.setattr(
        "zoo.training.display.Console",
        lambda **_: Console(
            file=written, force_terminal=True, width=width, color_system=None, legacy_windows=False
        ),
    )
    return written


def test_at_80_columns_bar_and_time_are_whole_after_a_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    written = terminal(monkeypatch, 80)
    with Display(is_shown=True, n_steps=2000) as display:
        for step in range(1, 1201):
            display.step(step, step / 2000)
            if step % 50 == 0:
                display.show(step, {"loss": "1.234", "tokens/s": "16,012"})
            if step in (500, 1000):
                display.measured(step, {"validation loss": f"0.{step}", "BLEU": "83.10"})
        display._bar.refresh()
    text = written.getvalue()
    assert "step 500/2000  validation loss 0.500  BLEU 83.10" in text
    assert "step 1000/2000  validation loss 0.1000  BLEU 83.10" in text
    last = [line for line in text.replace("\r", "\n").split("\n") if "step 1200/2000" in line][-1]
    assert "loss 1.234  tokens/s 16,012" in last
    assert last.count("━") + last.count("╸") + last.count("╺") >= 15
    assert ":" in last.split("16,012")[1]  # the time that is left
    assert "BLEU" not in last


def test_piped_a_validation_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with Display(is_shown=True, n_steps=9) as display:
        for step in range(1, 10):
            display.step(step, step / 9)
            display.show(step, {"loss": "1.5"})
        display.measured(9, {"validation loss": "0.25"})
    assert capsys.readouterr().err.splitlines() == ["step 1/9  loss 1.5", "step 9/9  validation loss 0.25"]


def test_quiet_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    with Display(is_shown=False, n_steps=9) as display:
        display.step(1, 0.1)
        display.measured(1, {"validation loss": "0.25"})
        display.work("validating", 1, 2)
        display.note("a note")
    assert capsys.readouterr() == ("", "")


def test_a_validation_has_a_bar_of_its_own_while_it_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    written = terminal(monkeypatch, 80)
    with Display(is_shown=True, n_steps=9) as display:
        display.step(4, 0.4)
        display.work("validating, sentences", 25, 200)
        display._bar.refresh()
        during = written.tell()
        display.work_is_done()
        display._bar.refresh()
    assert "validating, sentences" in written.getvalue()[:during]
    assert "validating" not in written.getvalue()[during:]


def test_piped_a_long_validation_says_now_and_then_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [100.0]
    monkeypatch.setattr("zoo.training.display.time.monotonic", lambda: now[0])
    with Display(is_shown=True, n_steps=9) as display:
        display.show(4, {"loss": "1.5"})
        for done in range(5):
            display.work("validating, sentences", done, 200)
            now[0] += 4.0
    assert capsys.readouterr().err.splitlines() == ["step 4/9  loss 1.5", "validating, sentences  3 of 200"]
