"""Signals that end a program: as an exception, or as a wish to stop after the step."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

# Ctrl-C; kill and batch systems at a job's end; a closed terminal; batch systems ahead of a job's
# time limit (Slurm and SGE SIGUSR1, LSF and submitit SIGUSR2, SGE SIGXCPU).
SIGNALS = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGXCPU,
)
# Batch systems and shells send several signals for one end; who presses Ctrl-C again waits longer.
SAME_WISH_SECONDS = 1.0
_active: list[StopRequest] = []  # of the main thread, the innermost last


@contextmanager
def signals_as_interrupt() -> Iterator[None]:
    """Let every one of SIGNALS raise KeyboardInterrupt, with its number, as Ctrl-C does without."""

    def interrupt(number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt(number)

    with _handled_by(interrupt, [number for number in SIGNALS if number != signal.SIGINT]):
        yield


def interrupted_status(interrupt: KeyboardInterrupt) -> int:
    """Return 128 + signal, as 130 after Ctrl-C and 143 after SIGTERM."""
    return 128 + int(interrupt.args[0] if interrupt.args else signal.SIGINT)


class StopRequest:
    """Whether to stop, and the signal that asked for it.

    Args:
        signal_number: null while nothing has asked.
        is_outermost: whether no other context waits for the signal.
        asked_at: when it came, on the clock of time.monotonic.
    """

    def __init__(
        self, signal_number: int | None = None, is_outermost: bool = True, asked_at: float = 0.0
    ) -> None:
        self.signal_number = signal_number
        self.is_outermost = is_outermost
        self.asked_at = asked_at

    def withdraw(self) -> None:
        self.signal_number = None

    def end_program(self) -> None:
        """End the program for a signal that nothing within the context could heed any more.

        Raises:
            KeyboardInterrupt: as the signal would have without the context.
        """
        if self.signal_number is not None and self.is_outermost:
            raise KeyboardInterrupt(self.signal_number)


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Catch the first of SIGNALS, and what comes within SAME_WISH_SECONDS of it.

    A later one finds the handlers around the context back: it acts at once, or in an inner
    context reaches the one around it.

    Contexts nest: an inner one starts with the signal that the outer one has caught, and hands
    its own to the outer one when it ends, unless it was withdrawn.
    """
    outer = _active[-1] if _active else None
    request = StopRequest()
    if outer is not None:
        request = StopRequest(outer.signal_number, False, outer.asked_at)
    if threading.current_thread() is not threading.main_thread():
        yield StopRequest()
        return

    def ask(number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if request.signal_number is None:
            request.signal_number, request.asked_at = number, now
        elif now - request.asked_at >= SAME_WISH_SECONDS:
            restore()
            signal.raise_signal(number)

    with _handled_by(ask, SIGNALS) as restore:
        _active.append(request)
        try:
            yield request
        finally:
            _active.pop()
            if outer is not None and request.signal_number is not None:
                outer.signal_number = request.signal_number
                outer.asked_at = request.asked_at


@contextmanager
def _handled_by(
    handler: Callable[[int, FrameType | None], None], numbers: Sequence[signal.Signals]
) -> Iterator[Callable[[], None]]:
    """Handle signals, and give what restores the handlers before; nothing beside the main thread.

    What `nohup` or a batch system has told the program to ignore stays ignored.
    """
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in numbers:
            present = signal.getsignal(number)
            ignored = present is signal.SIG_IGN and number not in (signal.SIGINT, signal.SIGTERM)
            if present is not None and not ignored:  # null: of a C library, cannot be restored
                before[number] = present

    def restore() -> None:
        for number, earlier in before.items():
            signal.signal(number, earlier)

    for number in before:
        signal.signal(number, handler)
    try:
        yield restore
    finally:
        restore()
