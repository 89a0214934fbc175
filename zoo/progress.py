"""How far long work is, on standard error: a bar on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

Report = Callable[[str, int, int | None], None]
"""Called with what is going on, how much of it is done, and of how much where that is known."""

LINE_EVERY_S = 10.0
"""Time between two lines where there is no terminal."""
COUNT_EVERY = 1000

_Item = TypeVar("_Item")


class Bar:
    """A Report that shows itself, to be used in a `with`; nothing when not `is_shown`.

    Calls are cheap: what is shown is painted by a thread of its own, which also says that work goes on that does not
    call. On a terminal the bar goes when the work is done.
    """

    def __init__(self, *, is_shown: bool = True) -> None:
        self._is_shown = is_shown
        self._now: tuple[str, int, int | None] | None = None
        self._rich: RichProgress | None = None
        self._task: TaskID | None = None
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Bar:
        if not self._is_shown:
            return self
        if sys.stderr.isatty():
            self._rich = _rich_bar()
            self._rich.start()
        else:
            self._thread = threading.Thread(target=self._print_lines, daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        if self._rich is not None:
            self._rich.stop()
        if self._thread is not None:
            self._thread.join()

    def __call__(self, what: str, done: int, total: int | None) -> None:
        last, self._now = self._now, (what, done, total)
        if self._rich is None:
            return
        if self._task is None or last is None or last[0] != what:
            if self._task is not None:
                self._rich.remove_task(self._task)
            self._task = self._rich.add_task(what, total=total, counts="")
        self._rich.update(self._task, completed=done, total=total, counts=_counts(done, total))

    def _print_lines(self) -> None:
        while not self._is_over.wait(LINE_EVERY_S):
            if self._now is not None:
                what, done, total = self._now
                print(f"{what}  {_counts(done, total)}".rstrip(), file=sys.stderr, flush=True)


def counted(
    items: Iterable[_Item], report: Report | None, what: str, total: int | None = None
) -> Iterator[_Item]:
    """The items, reported now and then as they are taken."""
    if report is not None:
        report(what, 0, total)
    for number, item in enumerate(items, start=1):
        yield item
        if report is not None and number % COUNT_EVERY == 0:
            report(what, number, total)


def _counts(done: int, total: int | None) -> str:
    if total is not None:
        return f"{done:,} of {total:,}"
    return f"{done:,}" if done else ""


def _rich_bar() -> RichProgress:
    from rich.console import Console  # here, for it is of use on a terminal only
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[counts]}"),
        TimeRemainingColumn(),
        console=Console(file=sys.stderr),
        refresh_per_second=2,  # two cores have better things to do than to paint ten times a second
        transient=True,
    )
