"""SIGINT and SIGTERM: as an exception, or as a wish to stop after the step."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
_active: list[StopRequest] = []  # of the main thread, the innermost last


@contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """Let SIGTERM raise KeyboardInterrupt, with its number, as Ctrl-C does without."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt(number)

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def interrupted_status(interrupt: KeyboardInterrupt) -> int:
    """Return the exit status after Ctrl-C or SIGTERM: 130 or 143."""
    return 128 + int(interrupt.args[0] if interrupt.args else signal.SIGINT)


class StopRequest:
    """Whether to stop, and the signal that asked for it.

    Args:
        signal_number: None while nothing has asked.
    """

    def __init__(self) -> None:
        self.signal_number: int | None = None

    def withdraw(self) -> None:
        self.signal_number = None


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Catch the first SIGINT or SIGTERM; a second one acts at once, as usual.

    Contexts nest: what has asked an inner one asks the one around it when the inner one ends,
    unless the request is withdrawn before.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def ask(number: int, _frame: FrameType | None) -> None:
        request.signal_number = number
        restore()

    for number in SIGNALS:
        signal.signal(number, ask)
    _active.append(request)
    try:
        yield request
    finally:
        restore()
        _active.pop()
        if _active and request.signal_number is not None:
            _active[-1].signal_number = request.signal_number
