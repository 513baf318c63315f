"""A folder that is there whole or not at all."""

from __future__ import annotations

import os
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from resnet_sweep.errors import ConfigError, UserError


def check_new_folder(folder: Path, field: str = "output") -> None:
    """Refuse a folder that could not be made, before hours go into its content.

    Raises:
        ConfigError: it exists, or lies where nothing can be written.
    """
    if os.path.lexists(folder):
        raise ConfigError(field, folder, "exists already; name a new folder")
    above = next(parent for parent in folder.absolute().parents if os.path.lexists(parent))
    if not above.is_dir():
        raise ConfigError(field, folder, f"{above} is not a folder")
    if not os.access(above, os.W_OK | os.X_OK):
        raise ConfigError(field, folder, f"{above} cannot be written into")


@contextmanager
def staged_folder(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `folder`, which takes its name when the block ends well.

    Otherwise nothing is left, except by a kill: what that leaves, the next call removes.

    Raises:
        UserError: the disk is full, or the folder has come to be meanwhile.
    """
    made = _missing(folder.absolute().parent)
    owner = f"{socket.gethostname()}.{os.getpid()}"
    stage = folder.absolute().with_name(f".{folder.name}.{owner}.partial")
    try:
        stage.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(stage.parent)
        stage.mkdir()
        yield stage
        for path in stage.iterdir():
            with open(path, "rb") as file:
                os.fsync(file.fileno())  # else a power cut could leave the name and no content
        os.rename(stage, folder)
    except BaseException as error:
        shutil.rmtree(stage, ignore_errors=True)
        _remove_empty(made)
        if isinstance(error, OSError):
            raise UserError(f"{folder}: cannot be written ({error.strerror})") from error
        raise


def _missing(folder: Path) -> list[Path]:
    """Return the folders that have to be made, the innermost first."""
    return [each for each in (folder, *folder.parents) if not os.path.lexists(each)]


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            return  # somebody else uses it


def _remove_leftovers(parent: Path) -> None:
    """Remove what killed processes of this machine left."""
    host = re.escape(socket.gethostname())
    for path in parent.glob(".*.partial"):
        owner = re.fullmatch(rf"\..+\.{host}\.(\d+)\.partial", path.name)
        if owner and not _is_alive(int(owner[1])):
            shutil.rmtree(path, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
