"""New folders that are there whole or not at all."""

from __future__ import annotations

import os
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from resnet_sweep.config.errors import ConfigError, UserError


def check_folder(folder: Path) -> None:
    """Refuse a folder in which nothing could be made, before hours go into its content.

    Raises:
        ConfigError: it is a file, or lies where nothing can be written.
    """
    _try_making(_stage_of(folder / "file"), folder)


def check_new_folder(folder: Path) -> None:
    """Refuse a folder that could not be made, before hours go into its content.

    Raises:
        ConfigError: it exists, or lies where nothing can be written.
    """
    if os.path.lexists(folder):
        raise ConfigError("output", folder, "exists already; name a new folder")
    _try_making(_stage_of(folder), folder)


def _try_making(path: Path, shown: Path) -> None:
    """Make a folder, with those around it, and take it away again.

    Raises:
        ConfigError: names what is `shown` as the value of output.
    """
    made = _missing(path.absolute())
    try:
        path.mkdir(parents=True)
    except OSError as error:
        raise ConfigError("output", shown, f"cannot be made ({error.strerror})") from error
    finally:
        _remove_empty(made)


@contextmanager
def staged_folder(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `folder`, which takes its name when the block ends well.

    Otherwise nothing is left, except by a kill: what that leaves, the next call removes.

    Raises:
        UserError: the disk is full, or the folder has come to be meanwhile.
    """
    stage = _stage_of(folder)
    try:
        with made_folder(stage.parent):
            _remove_leftovers(stage.parent)
            try:
                stage.mkdir()
                yield stage
                for path in stage.rglob("*"):
                    if path.is_file():
                        with open(path, "rb") as file:
                            os.fsync(file.fileno())  # else a power cut could leave empty files
                os.rename(stage, folder)
            except BaseException:
                shutil.rmtree(stage, ignore_errors=True)
                raise
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror})") from error


@contextmanager
def made_folder(folder: Path) -> Iterator[None]:
    """Make a folder and those around it; where the block fails, those that are empty go again."""
    made = _missing(folder.absolute())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        _remove_empty(made)
        raise


def _stage_of(folder: Path) -> Path:
    owner = f"{socket.gethostname()}.{os.getpid()}"
    return folder.absolute().with_name(f".{folder.name}.{owner}.partial")


def _missing(folder: Path) -> list[Path]:
    """Return the folders that have to be made, the innermost first."""
    return [each for each in (folder, *folder.parents) if not os.path.lexists(each)]


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        with suppress(OSError):  # it never came to be, or somebody else uses it
            folder.rmdir()


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
