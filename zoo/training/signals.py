"""The one rule for signals: SIGINT is the user's wish to end, the others are the machine's.

While steps are trained a signal is only noted, and honoured at the next step's end, after saving. At any other
time it acts at once, for there is nothing to lose. A second SIGINT always acts at once: the user's way out of a
save that hangs. The command line has a rule of its own for what "at once" is (zoo/cli/ending.py).
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from zoo.errors import PreemptedError

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
"""Batch systems announce the end by SIGTERM or SIGUSR1, a terminal that is closed by SIGHUP."""


class StopRequest:
    """Whether, and by which signal, the process was asked to end."""

    of_process: StopRequest | None = None
    """The one that listens for as long as the process lives, where the command line started one."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        """The first one."""
        self.is_deferring = False
        self._process = os.getpid()
        self._numbers: list[signal.Signals] = []

    @contextmanager
    def listening(self) -> Iterator[StopRequest]:
        """Catches the signals within the block; outside the main thread, where none arrive, nothing.

        One that is ignored stays so (`nohup`), and so does a SIGUSR1 that somebody else has a use for.
        """
        previous = {number: signal.getsignal(number) for number in SIGNALS}
        ours = (None, signal.SIG_DFL, self._handle)
        self._numbers = [
            number
            for number, handler in previous.items()
            if handler is not signal.SIG_IGN and (number != signal.SIGUSR1 or handler in ours)
        ]
        self._install()
        try:
            yield self
        finally:
            self.is_deferring = False
            if threading.current_thread() is threading.main_thread():
                for number in self._numbers:
                    signal.signal(number, previous[number])

    def defer(self) -> None:
        """Only notes signals until `listening` ends, also where others have replaced the handlers."""
        self.is_deferring = True
        self._install()

    def raise_if_received(self) -> None:
        """Raises: KeyboardInterrupt after a SIGINT, PreemptedError after another signal."""
        if self.received is signal.SIGINT:
            raise KeyboardInterrupt
        if self.received is not None:
            name = self.received.name
            raise PreemptedError(f"stopped by {name}; what was trained is saved, resume to go on")

    def act(self, number: signal.Signals, frame: FrameType | None) -> None:
        """What a signal does that is not only noted."""
        if number is signal.SIGINT:
            raise KeyboardInterrupt
        raise PreemptedError(f"stopped by {number.name}, before there was anything to save")

    def _install(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in self._numbers:
                signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            return  # a data process, before it ignores signals itself
        is_first = self.received is None
        self.received = self.received or signal.Signals(number)
        # Batch systems send some signals twice; only the user's impatience counts.
        if (is_first and not self.is_deferring) or (not is_first and number == signal.SIGINT):
            self.act(signal.Signals(number), frame)
