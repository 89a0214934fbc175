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
    """Step, loss, tokens a second and score, on standard error; nothing when not `is_shown`."""

    def __init__(self, *, is_shown: bool, max_steps: int) -> None:
        self.max_steps = max_steps
        self._console = Console(file=sys.stderr, quiet=not is_shown)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[facts]}"),
            TimeRemainingColumn(),
            console=self._console,
            # Two cores have better things to do than to paint ten times a second.
            refresh_per_second=2,
            disable=not (is_shown and self._console.is_terminal),
        )
        self._task: TaskID = self._bar.add_task("training", total=1.0, facts="")
        self._facts: dict[str, str] = {}
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
        self._bar.update(
            self._task, completed=share, description=f"step {step}/{self.max_steps}", facts=self._text()
        )

    def show(self, step: int, facts: Mapping[str, str], *, at_once: bool = False) -> None:
        """Shows facts, and keeps them until newer ones come; at_once: also where lines are rationed."""
        self._facts.update(facts)
        if self._bar.disable and (at_once or time.monotonic() - self._last_line >= LINE_EVERY_S):
            self._last_line = time.monotonic()
            self._console.print(f"step {step}/{self.max_steps}  {self._text()}", highlight=False)

    def note(self, text: str) -> None:
        """A line of its own."""
        self._console.print(text, highlight=False)

    def _text(self) -> str:
        return "  ".join(f"{name} {value}" for name, value in self._facts.items())
