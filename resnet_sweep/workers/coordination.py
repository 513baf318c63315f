"""The files in a sweep folder by which a sweep, its workers and other commands know of each other.

They need nothing but the folder, whatever launcher lies between the processes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from resnet_sweep.config.errors import ConfigError, UserError
from resnet_sweep.records.sweep_folder import SWEEP_LOCK
from resnet_sweep.system.atomic import write_text
from resnet_sweep.system.locks import FileLock, this_process

STOP = "stop"
WORKERS = "workers"


@dataclass(frozen=True)
class WorkerExit:
    """Why a worker ended.

    Args:
        kind: done (nothing is left to train), stopped (it was asked to), user_error or
            broken_folder (no worker can go on).
        seconds: for which it worked.
    """

    kind: str
    message: str = ""
    seconds: float = 0.0


def write_exit(folder: Path, index: int, worker_exit: WorkerExit) -> None:
    write_text(_exit_file(folder, index), json.dumps(asdict(worker_exit)))


def take_exit(folder: Path, index: int) -> WorkerExit | None:
    """Return and remove what a worker left at its end; None where it was killed."""
    path = _exit_file(folder, index)
    try:
        worker_exit = WorkerExit(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
    path.unlink()
    return worker_exit


def _exit_file(folder: Path, index: int) -> Path:
    return folder / WORKERS / f"{index}.end.json"


def exit_if_unwritable(folder: Path) -> WorkerExit | None:
    """Return why nobody can write there, as after a kill for which the worker is not to blame."""
    probe = folder / WORKERS / "probe"
    try:
        write_text(probe, "x" * 4096)
        probe.unlink()
    except OSError as error:
        return WorkerExit("broken_folder", f"{folder}: {error.strerror}")
    return None


def worker_log(folder: Path, index: int) -> Path:
    return folder / WORKERS / f"{index}.log"


def worker_lock(folder: Path, index: int) -> Path:
    """Return the lock that a worker holds as long as it lives."""
    return folder / WORKERS / f"{index}.lock"


def request_stop(folder: Path) -> None:
    """Ask all workers, wherever they run, to stop after their step or epoch."""
    (folder / STOP).touch()


def withdraw_stop(folder: Path) -> None:
    (folder / STOP).unlink(missing_ok=True)


def stop_is_requested(folder: Path) -> bool:
    return (folder / STOP).exists()


@contextmanager
def hold_or_refuse(
    folder: Path, field: str, in_use: Callable[[str], ConfigError]
) -> Iterator[None]:
    """Hold a sweep folder against every other command that trains in it.

    Args:
        field: that names the folder.
        in_use: what to say of the process that holds it.

    Raises:
        UserError: it is in use, or something in it cannot be written or read.
    """
    lock = FileLock(folder / SWEEP_LOCK)
    with ExitStack() as held:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not lock.try_acquire():
                raise in_use(lock.path.read_text())
            held.callback(lock.release)
            lock.write(this_process())
        except OSError as error:
            raise ConfigError(field, folder, str(error)) from error
        try:
            yield
        except OSError as error:
            raise UserError(f"{folder}: {error}") from error
