"""Printing that never ends a run: the reader of a pipe may have gone, its disk may be full."""

from __future__ import annotations

import io
import os
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.console import Console

PAGE_WIDTH = 200
Item = TypeVar("Item")


def say(line: str, stream: IO[str] | None = None) -> None:
    """Print a line to standard output, or to `stream`; once that fails, to nowhere."""
    target = stream or sys.stdout
    try:
        print(line, file=target, flush=True)
    except UnicodeEncodeError:  # the terminal, or a file name, knows other characters
        say(line.encode("ascii", "backslashreplace").decode(), stream)
    except OSError as error:
        lose_output(error, target)


def flush_output() -> bool:
    """Write out what standard output still holds; return whether all of it could be written.

    A reader that has gone (`| head`) is no failure; any other is told on stderr.
    """
    try:
        sys.stdout.flush()
    except OSError as error:
        lose_output(error)
    return not _lost


_lost: list[OSError] = []  # why standard output could not be written, once in a process


def lose_output(error: OSError, stream: IO[str] | None = None) -> None:
    """Drop what standard output, or `stream`, still holds and all that follows, after an error."""
    target = stream or sys.stdout
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), target.fileno())
    if target is sys.stdout and not isinstance(error, BrokenPipeError):
        _lost.append(error)
        say(f"error: standard output cannot be written: {error.strerror}", sys.stderr)


def command(module: str, *words: str) -> str:
    """Return a command of the project as one types it."""
    return shlex.join(["python", "-m", f"resnet_sweep.{module}", *words])


def quoted(value: str) -> str:
    """Return a text as Hydra's command line takes it, whatever is in it."""
    doubled = re.sub(r"(\\+)('|\Z)", r"\1\1\2", value)  # backslashes that a quote follows
    return "'" + doubled.replace("'", "\\'") + "'"


def track(items: Sequence[Item], what: str, show: bool = True) -> Iterator[Item]:
    """Yield the items behind a progress bar, on stderr where that is a terminal."""
    from rich.console import Console
    from rich.progress import track as bar

    hidden = not (show and sys.stderr.isatty())
    yield from bar(items, what, console=Console(stderr=True), disable=hidden)


def duration(seconds: float) -> str:
    """Return seconds as the largest unit that leaves a number of two or more."""
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


@contextmanager
def page(width: int = PAGE_WIDTH) -> Iterator[Console]:
    """Yield a console for tables and text; what it holds is said at the end, none of it is markup.

    Args:
        width: where standard output is no terminal.
    """
    from rich.console import Console  # slow to import, and most lines need no tables

    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    text = io.StringIO()  # rich itself would write to standard output, which may be full
    yield Console(
        file=text,
        force_terminal=is_terminal,
        width=None if is_terminal else width,
        highlight=False,
        markup=False,
        emoji=False,
    )
    say("\n".join(line.rstrip() for line in text.getvalue().splitlines()))
