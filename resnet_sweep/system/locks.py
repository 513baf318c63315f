"""Locks that the kernel frees when their holder is killed."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


class FileLock:
    """An exclusive flock on a file, which stays behind and may be held by nobody.

    Not reentrant. On a network file system all machines must share its locks (NFS 4, Lustre
    with `flock`).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[bytes] | None = None

    def acquire(self) -> bool:
        """Wait for the lock.

        Raises:
            OSError: the folder is not writable or knows no locks.
        """
        return self._lock(fcntl.LOCK_EX)

    def try_acquire(self) -> bool:
        """Return whether the lock was free and is now held."""
        return self._lock(fcntl.LOCK_EX | fcntl.LOCK_NB)

    def release(self) -> None:
        assert self._file is not None
        self._file.close()
        self._file = None

    def write(self, text: str) -> None:
        """Write who holds the lock, for others to read."""
        assert self._file is not None
        os.truncate(self._file.fileno(), 0)
        os.write(self._file.fileno(), text.encode())

    def _lock(self, operation: int) -> bool:
        file = open(self.path, "ab", buffering=0)  # noqa: SIM115 - held beyond this function
        try:
            fcntl.flock(file, operation)
        except BlockingIOError:
            file.close()
            return False
        except BaseException:
            file.close()
            raise
        self._file = file
        return True

    def __enter__(self) -> FileLock:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


@contextmanager
def held_if_free(path: Path) -> Iterator[bool]:
    """Hold a lock for the block if nobody else does, and say so."""
    lock = FileLock(path)
    if not lock.try_acquire():
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def is_locked(path: Path) -> bool:
    """Return whether a process has locked a file, as far as this machine can see."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass  # a file system without locks
    finally:
        os.close(descriptor)
    return False


def this_process() -> str:
    """Return what a holder writes into its lock."""
    return f"process {os.getpid()} on {socket.gethostname()}"
