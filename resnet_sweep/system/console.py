"""Printing that never ends a run: the reader of a pipe may have gone, its disk may be full."""

from __future__ import annotations

import io
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import IO, TYPE_CHECKING, Any, TextIO, TypeVar, cast

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
    except OSError:
        _lead_nowhere(target)


def _lead_nowhere(stream: IO[str]) -> None:
    """Let what a stream still holds, and all that follows, be lost: each flush would fail again."""
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())


class LastingOutput:
    """Standard output that fails once and then leads nowhere, whoever prints: Hydra, logging, rich.

    A reader that has gone is no news; any other failure is told on stderr.

    Args:
        is_lost: whether something could not be written that was still wanted.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.is_lost = False

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            self._lose(error)
        except ValueError:  # closed: a logger may outlive the program's end
            pass
        return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._lose(error)
        except ValueError:
            pass

    def _lose(self, error: OSError) -> None:
        _lead_nowhere(self._stream)
        if not isinstance(error, BrokenPipeError):
            self.is_lost = True
            say(f"error: standard output cannot be written: {error.strerror}", sys.stderr)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def lasting_output() -> Iterator[LastingOutput]:
    """Let nothing that is printed end the program, also where standard output is closed."""
    with ExitStack() as opened:
        before = sys.stdout
        closed = before is None
        output = LastingOutput(opened.enter_context(open(os.devnull, "w")) if closed else before)
        sys.stdout = cast(TextIO, output)
        try:
            yield output
        finally:
            output.flush()
            sys.stdout = before


def command(module: str, *words: str) -> str:
    """Return a command of the project as one types it."""
    return shlex.join(["python", "-m", f"resnet_sweep.{module}", *words])


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
