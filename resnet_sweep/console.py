"""Printing that never ends a run: the reader of a pipe may have gone, its disk may be full."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import IO, TYPE_CHECKING, Any, TextIO, cast

if TYPE_CHECKING:
    from rich.console import Console

PAGE_WIDTH = 200


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
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._lose(error)

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
