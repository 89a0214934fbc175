"""SIGTERM and SIGINT as a wish that training honours at the next step's end, after saving."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from zoo.errors import PreemptedError

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopRequest:
    """Whether, and by which signal, the process was asked to stop.

    Until `defer` a signal acts at once: there is nothing to save yet. After it, it is only noted. A second
    SIGINT acts at once always: the user's way out of a save that hangs.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._is_deferring = False

    def defer(self) -> None:
        """Notes signals from now on, for the caller to honour, also where others replaced the handlers."""
        self._is_deferring = True
        self._install()

    def raise_if_received(self) -> None:
        """Raises: PreemptedError after a SIGTERM, KeyboardInterrupt after a SIGINT."""
        if self.received is signal.SIGTERM:
            raise PreemptedError("stopped by SIGTERM; what was trained is saved, resume to go on")
        if self.received is signal.SIGINT:
            raise KeyboardInterrupt

    @contextmanager
    def listening(self) -> Iterator[StopRequest]:
        """Catches the signals within the block; outside the main thread, where none arrive, nothing."""
        previous = {number: signal.getsignal(number) for number in _SIGNALS}
        self._install()
        try:
            yield self
        finally:
            if threading.current_thread() is threading.main_thread():
                for number, handler in previous.items():
                    signal.signal(number, handler)

    def _install(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        is_second = self.received is signal.SIGINT and number == signal.SIGINT
        self.received = signal.Signals(number)
        if not self._is_deferring or is_second:
            self.raise_if_received()
