"""Processes that tests wait for and kill."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def wait_for(condition: Callable[[], object], process: subprocess.Popen[Any] | None = None) -> None:
    """Return once something is so; fail if the process that should bring it about has ended.

    There is no limit of its own: how long it takes says how busy the machine is, and pytest ends
    what hangs.
    """
    while not condition():
        assert process is None or process.poll() is None, f"ended with {process.returncode}"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    return _state(pid)[0] != "Z"


def children(parent: int, module: str) -> list[int]:
    """Return the processes that run a module for a parent."""
    pids = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    own = [pid for pid in pids if _state(pid)[1] == str(parent)]
    return [pid for pid in own if module in _read(f"/proc/{pid}/cmdline").split("\0")]


def _state(pid: int) -> tuple[str, str]:
    """Return the state of a process and its parent; of one that is gone, a zombie's."""
    words = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return (words[0], words[1]) if words else ("Z", "")


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def kill_all(parent: subprocess.Popen[Any], module: str) -> None:
    """Kill -9 a program and the workers that it has started."""
    for pid in (parent.pid, *children(parent.pid, module)):
        os.kill(pid, signal.SIGKILL)
    parent.wait()


@contextmanager
def meanwhile(act: Callable[[], None]) -> Iterator[None]:
    """Let another thread act while the block runs; a fault of either is the test's."""
    faults: list[BaseException] = []

    def try_to_act() -> None:
        try:
            act()
        except BaseException as fault:
            faults.append(fault)

    thread = threading.Thread(target=try_to_act, daemon=True)
    thread.start()
    yield
    thread.join()
    if faults:
        raise faults[0]
