"""Printing that never ends a run: the reader of a pipe may have gone, its disk may be full."""

from __future__ import annotations

import os
import sys
from typing import TextIO


def say(line: str, stream: TextIO | None = None) -> None:
    """Print a line to standard output, or to `stream`; once that fails, to nowhere."""
    target = stream or sys.stdout
    try:
        print(line, file=target, flush=True)
    except UnicodeEncodeError:  # the terminal, or a file name, knows other characters
        say(line.encode("ascii", "backslashreplace").decode(), stream)
    except OSError:
        # Python would fail again when it flushes at its end.
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), target.fileno())
