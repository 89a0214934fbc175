"""StopRequest in a program of the user's own: at once where nothing is to be saved, noted while steps are trained."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from zoo.errors import PreemptedError
from zoo.training.signals import SIGNALS, StopRequest

MACHINE = [number for number in SIGNALS if number is not signal.SIGINT]


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Puts everything back, and nobody listens at first."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in MACHINE}
    before[signal.SIGINT] = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", MACHINE)
def test_a_signal_of_the_machine_acts_at_once_until_steps_begin(number: signal.Signals) -> None:
    with (
        pytest.raises(PreemptedError, match=f"stopped by {number.name}, before there was"),
        StopRequest().listening(),
    ):
        send(number)
    assert signal.getsignal(number) is signal.SIG_DFL


@pytest.mark.parametrize("number", MACHINE)
def test_while_steps_are_trained_a_signal_is_noted_and_raised_afterwards(number: signal.Signals) -> None:
    stop = StopRequest()
    with stop.listening():
        stop.defer()
        send(number)
        send(number)  # as batch systems do
        assert stop.received is number
    with pytest.raises(PreemptedError, match=f"stopped by {number.name}; what was trained is saved"):
        stop.raise_if_received()


def test_a_second_interrupt_acts_at_once() -> None:
    stop = StopRequest()
    with stop.listening():
        stop.defer()
        send(signal.SIGINT)
        assert stop.received is signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)


def test_an_interrupt_after_the_machine_s_signal_is_the_way_out() -> None:
    stop = StopRequest()
    with stop.listening():
        stop.defer()
        send(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)
    assert stop.received is signal.SIGTERM


def test_what_is_ignored_stays_ignored_and_a_use_of_sigusr1_stays_in_use() -> None:
    used: list[int] = []
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, lambda number, _: used.append(number))
    stop = StopRequest()
    with stop.listening():
        stop.defer()
        send(signal.SIGHUP)
        send(signal.SIGUSR1)
    assert (stop.received, used) == (None, [signal.SIGUSR1])


def test_a_forked_process_leaves_signals_to_its_parent() -> None:
    stop = StopRequest()
    with stop.listening():
        child = os.fork()
        if not child:
            send(signal.SIGTERM)
            os._exit(7 if stop.received is None else 8)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
