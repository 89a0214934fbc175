"""How a command ends that is told to: within seconds, with one line and an exit code, whatever it was doing.

Lightning, pydantic or C++ may turn an exception that comes out of a signal's handler into anything, print it, or
abort; and no handler runs while the main thread is in a long call into C. So the first signal unwinds the
command by an exception where that can be trusted, and a thread of its own ends the process where it cannot.
"""

from __future__ import annotations

import atexit
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from types import FrameType
from typing import NoReturn

from zoo.training.signals import StopRequest

UNWINDING_S = 3.0
"""Longest time for what a command has to put away."""
INTERRUPTED, PREEMPTED = 130, 143  # 128 + the number of SIGINT, and of SIGTERM whichever signal it was
_SHOW_CURSOR = b"\x1b[?25h"


def run(program: Callable[[], object]) -> None:
    """Runs a command line to its end: its own, by SystemExit, or as a signal says."""
    ending = listen()
    try:
        program()
    except BaseException as error:
        if ending.has_acted:
            ending.end_now(ending.received or signal.SIGTERM)
        ending.is_over = True
        if isinstance(error, SystemExit) and isinstance(error.code, int):
            ending.code = error.code
        raise


def listen() -> Ending:
    """Takes the process's signals over, if that is not done yet."""
    if not isinstance(StopRequest.of_process, Ending):
        StopRequest.of_process = Ending()
    return StopRequest.of_process


class Ending(StopRequest):
    """The process's own StopRequest: it acts by SystemExit, which nothing on the way takes for an error."""

    def __init__(self) -> None:
        super().__init__()
        self.has_acted = False
        self.is_over = False
        """Whether the command is done, and only the interpreter still runs."""
        self.code: int | None = None
        """The exit code of a command that is over."""
        self._once = threading.Lock()
        self._listening = ExitStack()
        self._listening.enter_context(self.listening())  # and never left
        sys.unraisablehook = self._unraisable
        atexit.register(self._leave)  # the first one, which comes last
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))
        threading.Thread(target=self._watch, args=(reading,), daemon=True).start()

    def act(self, number: signal.Signals, frame: FrameType | None) -> None:
        """Unwinds the command; ends the process where that is no use, or at the second time."""
        if self.has_acted or self.is_over or self.is_deferring or _is_importing(frame):
            self.end_now(number)
        self.has_acted = True
        raise SystemExit(_code(number))

    def end_now(self, number: signal.Signals) -> NoReturn:
        """Ends the process and its data processes: no line of Python runs after this."""
        if not self._once.acquire(blocking=False):
            time.sleep(60)  # the other thread is at it
        with suppress(Exception):
            if not self.is_over:
                text = "interrupted" if number is signal.SIGINT else f"stopped by {number.name}"
                os.write(2, (_SHOW_CURSOR if os.isatty(2) else b"") + text.encode() + b"\n")
        with suppress(Exception):
            if "multiprocessing" in sys.modules:  # no import here: another thread may hold its lock
                for child in sys.modules["multiprocessing"].active_children():
                    child.kill()
        os._exit(_code(number))

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            _leave_dead_terminals()
        if self.is_deferring and self.received is None and number == signal.SIGINT:
            with suppress(OSError):
                os.write(2, b"\nsaving at the end of this step; a second Ctrl-C ends at once\n")
        super()._handle(number, frame)

    def _watch(self, reading: int) -> None:
        """Ends the process at the second SIGINT, and where a signal has not ended it in time."""
        seen: list[int] = []
        while True:
            is_due = bool(seen) and not self.is_deferring
            if not select.select([reading], [], [], UNWINDING_S if is_due else None)[0]:
                self.end_now(signal.Signals(seen[0]))
            seen += [number for number in os.read(reading, 64) if number in self._numbers]
            if seen.count(signal.SIGINT) > 1:
                self.end_now(signal.SIGINT)

    def _leave(self) -> None:
        """Leaves out the interpreter's own end, in which signals kill: torch takes part of a second for it."""
        if self.has_acted:  # outside of `run`, while its module was imported
            self.end_now(self.received or signal.SIGTERM)
        if self.code is not None:
            for stream in (sys.stdout, sys.stderr):
                with suppress(Exception):
                    stream.flush()
            os._exit(self.code)

    def _unraisable(self, about: sys.UnraisableHookArgs) -> None:
        """An exception of ours that was lost in a destructor or a callback from C."""
        if self.has_acted and issubclass(about.exc_type, SystemExit):
            self.end_now(self.received or signal.SIGTERM)
        sys.__unraisablehook__(about)


def _code(number: signal.Signals) -> int:
    return INTERRUPTED if number is signal.SIGINT else PREEMPTED


def _is_importing(frame: FrameType | None) -> bool:
    """Whether a module is being imported: C++ that is half set up aborts, and there is nothing to put away."""
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def _leave_dead_terminals() -> None:
    """Lets what is printed from now on go nowhere where the terminal is closed: saving must not fail of it."""
    for descriptor in (1, 2):
        try:
            os.write(descriptor, b"")
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, descriptor)
            os.close(nowhere)
