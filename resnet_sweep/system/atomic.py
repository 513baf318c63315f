"""Files that are either the old one or the new one, never a part."""

from __future__ import annotations

import json
import math
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

TEMPORARY_SUFFIX = ".partial"
ESCAPE = "backslashreplace"  # how a text file takes names that are no UTF-8


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then put it in the place of `path`.

    Raises:
        OSError: the disk is full or the folder not writable; `path` is as it was.
    """
    with replacing(path) as file:
        write(file)


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file that takes the place of `path` when the block ends well."""
    unique = f"{os.getpid()}-{threading.get_ident()}"
    temporary = path.with_name(f"{path.name}.{unique}{TEMPORARY_SUFFIX}")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename == str(temporary):
            raise OSError(error.errno, error.strerror, str(path)) from error  # the known name
        raise


def write_text(path: Path, text: str) -> None:
    """Replace a UTF-8 text file."""
    write_atomically(path, lambda file: file.write(text.encode()))


def remove_leftovers(folder: Path) -> None:
    """Delete temporary files that a killed process left."""
    for path in folder.glob(f"*.[0-9]*-[0-9]*{TEMPORARY_SUFFIX}"):  # no file of anybody else
        path.unlink(missing_ok=True)


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Replace a JSON file of plain values; what is not a number becomes null.

    Raises:
        OSError: as for write_atomically.
    """
    write_text(path, json.dumps(_finite(values), indent=2, allow_nan=False) + "\n")


def _finite(value: Any) -> Any:
    """Return plain values with null for what is not a number."""
    match value:
        case dict():
            return {name: _finite(each) for name, each in value.items()}
        case list() | tuple():
            return [_finite(each) for each in value]
        case float() if not math.isfinite(value):
            return None
    return value
