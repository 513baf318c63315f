"""What the command lines have in common: one line and exit status 2 for a user's mistake."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from traceback import walk_tb

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from resnet_sweep.compose import conf_names, suggestion
from resnet_sweep.console import say
from resnet_sweep.errors import UserError
from resnet_sweep.stopping import sigterm_as_interrupt

USAGE_ERROR = 2
FULL_ERROR = "HYDRA_FULL_ERROR"
NOTHING = ("", "null")


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn a user's mistake into one line on stderr and exit status 2.

    Ctrl-C and SIGTERM, where nothing within heeds them, end the program like an exception, with
    130 and 143. HYDRA_FULL_ERROR=1 leaves the traceback of a mistake.
    """
    full = os.environ.get(FULL_ERROR) == "1"
    try:
        with sigterm_as_interrupt(), _environment(FULL_ERROR, "1"):  # else Hydra exits by itself
            yield
    except (UserError, HydraException, OmegaConfBaseException) as error:
        if full:
            raise
        sys.exit(fail(describe(error)))
    except (ValueError, AttributeError, TypeError, RuntimeError) as error:
        if full or not _raised_within_hydra(error):
            raise
        message = describe(error)
        sys.exit(fail(f"{_suspects(message)}: Hydra cannot read this: {message}"))
    except SystemExit as error:
        mistake = error.__cause__
        if not isinstance(mistake, UserError):
            raise
        if full:
            raise mistake from None
        sys.exit(fail(describe(mistake)))
    except KeyboardInterrupt as interrupt:
        say("interrupted", sys.stderr)
        sys.exit(128 + (interrupt.args[0] if interrupt.args else signal.SIGINT))


def refuse_multirun(command: str) -> None:
    """Refuse -m where there is one thing to do.

    Raises:
        UserError: the command line asks for several.
    """
    for argument in sys.argv[1:]:
        is_long = argument.startswith("--mu") and "--multirun".startswith(argument)
        if argument == "-m" or is_long or argument == "hydra.mode=MULTIRUN":
            raise UserError(f"{argument}: {command} has no multirun; call it several times")


def _raised_within_hydra(error: BaseException) -> bool:
    """Whether the error comes from Hydra itself, as for `model=null`, and not from a run."""
    frames = [frame.f_globals.get("__name__", "") for frame, _ in walk_tb(error.__traceback__)]
    return bool(frames) and frames[-1].partition(".")[0] in ("hydra", "omegaconf", "antlr4")


def _suspects(message: str) -> str:
    """Return the overrides that an error of Hydra's, which names none, can be about."""
    arguments = sys.argv[1:]
    values = {a: a.partition("=")[2] for a in arguments}
    quoted = [a for a, value in values.items() if value and f"'{value}'" in message]
    empty = [a for a, value in values.items() if a[0] == "~" or ("=" in a and value in NOTHING)]
    return " ".join(quoted or empty or arguments)


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def fail(message: str) -> int:
    """Print the line of a user's mistake and return its exit status."""
    say(f"error: {message}", sys.stderr)
    return USAGE_ERROR


def describe(error: BaseException, folder: Path | None = None) -> str:
    """Return an error as one line: field, value and what is allowed, where it tells them.

    Args:
        folder: of the YAML files; null: the project's own.
    """
    message = str(error)
    cause = error.__cause__
    unknown = re.match(r"Could not override '([^']+)'", message)
    if unknown:
        return f"{unknown[1]}: {_no_such_field(unknown[1], cause)}"
    merged = re.match(r"Error merging override (\S+)", message)
    if merged and cause is not None:
        return f"{merged[1]}: {_first_line(cause)}"
    unparsed = re.match(r"Error when parsing index: \d+, string: (.+?) out of \[", message)
    if unparsed:  # Hydra repeats the whole command line and links to its manual
        told = message.rpartition("Error parsing override")[2].partition("See http")[0]
        reason = _one_line(told.replace(f"'{unparsed[1]}'", ""))
        return f"{unparsed[1]}: {reason}"
    missing = re.search(r"Could not (?:find|load) '(.+)/([^/']+)'", message)
    if missing:
        known = conf_names(missing[1], folder)
        return f"{missing[1]}={missing[2]}: there is no such option; {known}"
    return _one_line(message)


def _no_such_field(path: str, cause: BaseException | None) -> str:
    if path.startswith("model.kwargs."):
        return f"is new: write +{path}"
    schema = getattr(cause, "object_type", None)
    if isinstance(schema, type) and is_dataclass(schema):
        return suggestion(path.rsplit(".", 1)[-1], {field.name for field in fields(schema)})
    return "there is no such field"


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _one_line(message: str) -> str:
    return " ".join(message.split())
