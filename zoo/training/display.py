"""What a training run shows while it runs: a bar on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

LINE_EVERY_S = 10.0
"""Least time between two lines where there is no terminal."""


class Display:
    """Step, loss, tokens a second and scores, on standard error; nothing when not `is_shown`.

    A measurement stays, on a line of its own above the bar; what passes, such as the loss, is beside the bar, which
    is as wide as the terminal leaves room for.
    """

    def __init__(self, *, is_shown: bool, n_steps: int) -> None:
        self.n_steps = n_steps
        self._console = Console(file=sys.stderr, quiet=not is_shown)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[facts]}"),
            TimeRemainingColumn(compact=True),
            console=self._console,
            expand=True,
            # Two cores have better things to do than to paint ten times a second.
            refresh_per_second=2,
            disable=not (is_shown and self._console.is_terminal),
        )
        self._training: TaskID | None = None
        self._work: TaskID | None = None
        self._facts = ""
        self._last_line = -LINE_EVERY_S

    def __enter__(self) -> Display:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def step(self, step: int, share: float) -> None:
        """A step is done, and with it a share of the training, from 0 to 1."""
        if self._training is None:
            self._training = self._bar.add_task("", total=1.0, facts="")
        self._bar.update(
            self._training, completed=share, description=f"step {step}/{self.n_steps}", facts=self._facts
        )

    def show(self, step: int, facts: Mapping[str, str]) -> None:
        """Shows how a step went, beside the bar until the next one; elsewhere at most a line every ten seconds."""
        self._facts = _text(facts)
        if self._bar.disable and time.monotonic() - self._last_line >= LINE_EVERY_S:
            self._line(step, facts)

    def measured(self, step: int, facts: Mapping[str, str]) -> None:
        """Shows what a validation found; it stays to be read."""
        self._line(step, facts)

    def work(self, what: str, done: int, total: int | None) -> None:
        """How far something between two steps is, such as a validation; a bar of its own until it is done."""
        if self._bar.disable:
            if time.monotonic() - self._last_line >= LINE_EVERY_S:
                self._last_line = time.monotonic()
                self.note(f"{what}  {done:,}" + ("" if total is None else f" of {total:,}"))
            return
        if self._work is None:
            self._work = self._bar.add_task(what, total=total, facts="")
        self._bar.update(self._work, completed=done, total=total, description=what)

    def work_is_done(self) -> None:
        """Takes that bar away."""
        if self._work is not None:
            self._bar.remove_task(self._work)
            self._work = None

    def note(self, text: str) -> None:
        """A line of its own."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _line(self, step: int, facts: Mapping[str, str]) -> None:
        self._last_line = time.monotonic()
        self.note(f"step {step}/{self.n_steps}  {_text(facts)}")


def _text(facts: Mapping[str, str]) -> str:
    return "  ".join(f"{name} {value}" for name, value in facts.items())
