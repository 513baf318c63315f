"""Signals as exceptions and as wishes to stop."""

from __future__ import annotations

import signal
import threading

import pytest

from resnet_sweep.system import stopping
from resnet_sweep.system.stopping import (
    SIGNALS,
    StopRequest,
    interrupted_status,
    signals_as_interrupt,
    stop_on_signals,
)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_a_wish_and_then_an_exception(number: signal.Signals) -> None:
    before = [signal.getsignal(each) for each in SIGNALS]
    with signals_as_interrupt(), pytest.raises(KeyboardInterrupt) as stopped:
        with stop_on_signals() as stop:
            signal.raise_signal(number)
            assert stop.signal_number == number
        signal.raise_signal(number)
    assert interrupted_status(stopped.value) == 128 + number
    assert [signal.getsignal(each) for each in SIGNALS] == before


def test_signals_at_once_are_one_wish() -> None:
    """As of a batch system that sends SIGINT and SIGTERM: the step ends, with its checkpoint."""
    with signals_as_interrupt(), stop_on_signals(), stop_on_signals() as stop:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        assert stop.signal_number == signal.SIGINT


def test_a_later_signal_acts_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "SAME_WISH_SECONDS", 0.0)
    with signals_as_interrupt(), pytest.raises(KeyboardInterrupt), stop_on_signals():
        signal.raise_signal(signal.SIGUSR1)
        signal.raise_signal(signal.SIGTERM)


def test_what_the_program_was_told_to_ignore_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as `nohup` does
    try:
        with signals_as_interrupt(), stop_on_signals() as stop:
            signal.raise_signal(signal.SIGHUP)
        assert stop.signal_number is None
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_request_reaches_inner_and_outer_contexts() -> None:
    with stop_on_signals() as outer:
        with stop_on_signals() as first:
            signal.raise_signal(signal.SIGTERM)
        assert outer.signal_number == signal.SIGTERM and not first.is_outermost
        with stop_on_signals() as second:
            assert second.signal_number == signal.SIGTERM
            second.end_program()  # not while a context around it waits


def test_a_signal_that_came_too_late_ends_the_program() -> None:
    StopRequest().end_program()
    with pytest.raises(KeyboardInterrupt) as stopped, stop_on_signals() as stop:
        signal.raise_signal(signal.SIGTERM)
        stop.end_program()
    assert interrupted_status(stopped.value) == 143


def test_another_thread_is_left_alone() -> None:
    seen: list[int | None] = []

    def work() -> None:
        with signals_as_interrupt(), stop_on_signals() as stop:
            seen.append(stop.signal_number)

    with stop_on_signals():
        signal.raise_signal(signal.SIGTERM)
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert seen == [None]
