"""What every command that trains many runs does around its supervisor."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from resnet_sweep.console import say
from resnet_sweep.sweep.locks import FileLock, this_process
from resnet_sweep.sweep.supervisor import Supervisor

LOCK = "sweep.lock"


class FolderInUse(Exception):
    """Another process works in the sweep folder; the message says which."""


@contextmanager
def hold_folder(folder: Path) -> Iterator[None]:
    """Hold a sweep folder against every other command that trains in it.

    Raises:
        FolderInUse: another one does.
        OSError: the folder cannot be written.
    """
    lock = FileLock(folder / LOCK)
    if not lock.try_acquire():
        raise FolderInUse(lock.path.read_text())
    try:
        lock.write(this_process())
        yield
    finally:
        lock.release()


def supervise(supervisor: Supervisor, n_jobs: int, go_on: str) -> None:
    """Run the workers; an interruption ends the program.

    Args:
        go_on: the command that continues.
    """
    try:
        with sigterm_as_interrupt():
            supervisor.run(n_jobs)
    except KeyboardInterrupt as interrupt:
        say(f"interrupted; go on with: {go_on}")
        number = interrupt.args[0] if interrupt.args else signal.SIGINT
        sys.exit(128 + int(number))


@contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """Treat SIGTERM as Ctrl-C."""

    def interrupt(number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt(number)

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
