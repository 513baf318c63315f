"""What every command that trains many runs does around its supervisor."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from resnet_sweep.config.errors import ConfigError, UserError
from resnet_sweep.system.console import say
from resnet_sweep.system.locks import FileLock, this_process
from resnet_sweep.system.stopping import interrupted_status
from resnet_sweep.workers.supervisor import Supervisor

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


@contextmanager
def hold_or_refuse(
    folder: Path, field: str, in_use: Callable[[str], ConfigError]
) -> Iterator[None]:
    """Hold a sweep folder, and tell the user what stands against that, or against its files.

    Args:
        field: that names the folder.
        in_use: what to say of the process that holds it.

    Raises:
        UserError: it is in use, or something in it cannot be written or read.
    """
    with ExitStack() as held:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            held.enter_context(hold_folder(folder))
        except FolderInUse as holder:
            raise in_use(str(holder)) from holder
        except OSError as error:
            raise ConfigError(field, folder, str(error)) from error
        try:
            yield
        except OSError as error:
            raise UserError(f"{folder}: {error}") from error


def supervise(supervisor: Supervisor, n_jobs: int, go_on: str) -> None:
    """Run the workers; an interruption, as which SIGTERM comes as well, ends the program.

    Args:
        go_on: the command that continues.
    """
    try:
        supervisor.run(n_jobs)
    except KeyboardInterrupt as interrupt:
        say(f"interrupted; go on with: {go_on}")
        sys.exit(interrupted_status(interrupt))
