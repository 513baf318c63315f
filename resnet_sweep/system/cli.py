"""What the command lines have in common: one line and exit status 2 for a user's mistake."""

from __future__ import annotations

import argparse
import errno
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from traceback import walk_tb
from typing import NoReturn

from hydra._internal.utils import get_args_parser
from hydra.core.utils import env_override
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from resnet_sweep.config.compose import key_of
from resnet_sweep.config.errors import UserError
from resnet_sweep.config.mistakes import describe
from resnet_sweep.system.console import flush_output, lose_output, say
from resnet_sweep.system.stopping import interrupted_status, signals_as_interrupt

OUTPUT_LOST = 1
USAGE_ERROR = 2
FULL_ERROR = "HYDRA_FULL_ERROR"
NOTHING = ("", "null")
NO_ACCESS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR)
MAX_SHOWN = 80  # of a path that is too long


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn a user's mistake into one line on stderr and exit status 2.

    Ctrl-C and SIGTERM, where nothing within handles them, end the program with 130 and 143. A
    program that would have ended with 0 ends with 1 where standard output could not be written.
    HYDRA_FULL_ERROR=1 keeps the traceback of a mistake.
    """
    # It announces its font cache, once a machine, and that it has no place for one.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    logging.raiseExceptions = False  # Hydra's lines; that output is lost is said at the end
    if sys.stdout is None:  # closed from the start
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - until the program ends
    try:
        with _one_line_mistakes():
            yield
    except SystemExit as end:
        if not flush_output() and not end.code:
            sys.exit(OUTPUT_LOST)
        raise
    if not flush_output():
        sys.exit(OUTPUT_LOST)


@contextmanager
def _one_line_mistakes() -> Iterator[None]:
    full = os.environ.get(FULL_ERROR) == "1"
    try:
        _check_current_folder()
        with signals_as_interrupt(), env_override({FULL_ERROR: "1"}):  # else Hydra exits by itself
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
    except OSError as error:
        if error.errno in NO_ACCESS and error.filename is not None and not full:
            sys.exit(fail(f"{error.filename}: {error.strerror}"))
        if error.errno == errno.ENAMETOOLONG and not full:  # a path that the user gave
            sys.exit(fail(f"{str(error.filename)[:MAX_SHOWN]}...: the path has too long a name"))
        if not _raised_within_hydra(error):
            raise
        lose_output(error)  # Hydra prints --help and the like itself
    except KeyboardInterrupt as interrupt:
        say("interrupted", sys.stderr)
        sys.exit(interrupted_status(interrupt))


def _check_current_folder() -> None:
    try:
        os.getcwd()
    except FileNotFoundError as error:
        raise UserError("the current folder has been deleted: go to another one") from error


def refuse_multirun(command: str) -> None:
    """Refuse -m where there is one thing to do.

    Raises:
        UserError: the command line asks for several.
    """
    argument = _multirun_argument()
    if argument is not None:
        raise UserError(f"{argument}: {command} has no multirun; call it several times")


def refuse_sweep_without_multirun(overrides: Sequence[str]) -> None:
    """Refuse a sweeper's options where Hydra would quietly run once.

    Args:
        overrides: of a single run: neither -m nor a configuration file asks for more.

    Raises:
        UserError: as it says.
    """
    of_sweep = ("hydra/sweeper", "hydra.sweeper", "search_space")
    options = [o for o in overrides if key_of(o).startswith(of_sweep)]
    if options:
        raise UserError(f"{options[0]}: a sweep needs -m: python -m resnet_sweep.train -m ...")


def refuse_spaces_without_sampler(overrides: Sequence[str]) -> None:
    """Refuse a search space where Hydra's own sweeper would quietly run without it.

    Raises:
        UserError: as it says.
    """
    options = [o for o in overrides if key_of(o).partition(".")[0] == "search_space"]
    if options:
        raise UserError(f"{options[0]}: only a sweep searches it: add hydra/sweeper=optuna")


@contextmanager
def explaining_options_without_sweep() -> Iterator[None]:
    """Say that a sweep needs -m where Hydra says that its own sweeper lacks an option."""
    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        is_own = "BasicSweeper" in f"{error} {error.__cause__}"
        if is_own and _multirun_argument() is None:
            refuse_sweep_without_multirun(sys.argv[1:])
        raise


def _multirun_argument() -> str | None:
    """Return what on the command line asks for several runs, as Hydra reads it."""
    parsed, _ = get_args_parser().parse_known_args()
    if parsed.multirun:
        return next((a for a in sys.argv[1:] if a.startswith(("-m", "--m"))), "--multirun")
    modes = (o for o in parsed.overrides if key_of(o) == "hydra.mode")
    return next((o for o in modes if "MULTIRUN" in o or o.endswith("=2")), None)


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


class Parser(argparse.ArgumentParser):
    """Options of a command that Hydra does not read; one line for a mistake, as everywhere."""

    def __init__(self, prog: str, description: str, epilog: str | None = None) -> None:
        raw = argparse.RawDescriptionHelpFormatter
        super().__init__(prog, None, description, epilog, formatter_class=raw, allow_abbrev=False)

    def print_help(self, file: object = None) -> None:
        say(self.format_help().rstrip())

    def error(self, message: str) -> NoReturn:
        sys.exit(fail(f"{message} (--help lists all options)"))


def fail(message: str) -> int:
    """Print the line of a user's mistake and return its exit status."""
    say(f"error: {message}", sys.stderr)
    return USAGE_ERROR
