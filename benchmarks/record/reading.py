"""The JSON files that the stages of a record leave, and one line for what is wrong with one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from resnet_sweep.config.errors import UserError, one_line, require

DAMAGE = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)
MEND = "the command of that stage writes it anew"


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name the file behind an error of the block, which computes with what it holds.

    Raises:
        UserError: the file is damaged or cannot be read.
    """
    try:
        yield
    except UserError:
        raise
    except OSError as error:
        reason = error.strerror or one_line(error)
        raise UserError(f"{error.filename or path}: cannot be read: {reason}; {MEND}") from error
    except DAMAGE as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else one_line(error)
        raise UserError(f"{path}: is damaged: {reason}; {MEND}") from error


def read_values(path: Path) -> dict[str, Any]:
    """Return what a stage's JSON file holds.

    Raises:
        UserError: it cannot be read, or is no object with the command that wrote it.
    """
    with naming(path):
        values = json.loads(path.read_bytes())
        if not isinstance(values, dict):
            raise TypeError(f"must be an object, not a {type(values).__name__}")
        require(isinstance(values["command"], str), f"{path}: command", values["command"], MEND)
        return values
