"""A run folder belongs to one configuration and, while it trains, to one process."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from resnet_sweep.config import Config
from resnet_sweep.config.errors import RunFolderError
from resnet_sweep.records.identity import TEACHER, changes, known_teacher
from resnet_sweep.records.run_folder import (
    CHECKPOINT,
    CONFIG,
    METRICS,
    MODEL,
    RESULT,
    is_begun,
    read_config_values,
    write_config,
)
from resnet_sweep.system.atomic import remove_leftovers
from resnet_sweep.system.locks import is_locked

# An observer holds the lock for microseconds: whoever wants to train asks again.
_WAITS_SECONDS = (0.05, 0.1, 0.2)


@contextmanager
def holding_run(run_dir: Path, config: Config) -> Iterator[None]:
    """Hold a run folder, made where it is missing, with the configuration in it.

    Raises:
        RunFolderError: the folder cannot be written, holds another run, or is in use.
    """
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        _refuse_files_of_nobody(run_dir)
        write_config(run_dir, config)
        file = open(run_dir / CONFIG, "rb")  # noqa: SIM115 - held for the whole block
    except OSError as error:
        raise RunFolderError(f"{run_dir}: cannot be a run folder: {error}") from error
    with file:
        _lock(file.fileno(), run_dir)
        check_same_run(run_dir, config)
        remove_leftovers(run_dir)
        yield


def is_held(run_dir: Path) -> bool:
    """Return whether a process holds the folder, as far as this machine can see."""
    return is_locked(run_dir / CONFIG)


def _lock(descriptor: int, run_dir: Path) -> None:
    for seconds in (*_WAITS_SECONDS, None):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if seconds is None:
                problem = "another process is training in this folder"
                raise RunFolderError(f"{run_dir}: {problem}") from None
            time.sleep(seconds)
        except OSError:
            return  # a file system without locks


def _refuse_files_of_nobody(run_dir: Path) -> None:
    """Refuse what a run has left without its configuration: it may be of any other."""
    left = [name for name in (RESULT, CHECKPOINT, MODEL, METRICS) if (run_dir / name).exists()]
    if left and not is_begun(run_dir / CONFIG):
        problem = f"has {left[0]} of a run whose {CONFIG} is lost; take another folder"
        raise RunFolderError(f"{run_dir}: {problem}")


def check_same_run(run_dir: Path, config: Config) -> None:
    """Refuse a folder that holds another run.

    Raises:
        RunFolderError: it names a field in which they differ.
        RecordError: its configuration cannot be read.
    """
    values = read_config_values(run_dir)
    for field, stored, asked in changes(values, config):
        if field == TEACHER and known_teacher(values) is None:
            continue  # gone and never recorded; the checkpoint knows whether it is the same
        raise RunFolderError(
            f"{run_dir}: holds another run, with {field}={stored}, not {asked}; take another folder"
        )
