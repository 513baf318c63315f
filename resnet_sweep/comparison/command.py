"""The command line of a comparison: its own options, and overrides of every run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

from hydra.types import HydraContext
from omegaconf import DictConfig

from resnet_sweep.config.compare import CompareConfig
from resnet_sweep.config.errors import UserError
from resnet_sweep.search.conf_files import PRIMARY
from resnet_sweep.system.cli import one_line_errors
from resnet_sweep.system.console import command
from resnet_sweep.system.options import act_with_launcher

# Hydra's own options in two words.
WITH_A_VALUE = ("--cfg", "-c", "--package", "-p", "--config-dir", "-cd")
CONFIG_NAME, CONFIG_PATH = ("--config-name", "-cn"), ("--config-path", "-cp")


@dataclass(frozen=True)
class Words:
    """A command line, taken apart.

    Args:
        own: what the command itself understands, Hydra's options among it.
        given: overrides of every run.
        primary: configuration that every run is composed from.
    """

    own: list[str]
    given: list[str]
    primary: str


@dataclass(frozen=True)
class Call:
    """One call of the command.

    Args:
        go_on: the command line, which continues after an interruption.
        config, context: what a launcher wants to know of Hydra.
    """

    words: Words
    go_on: str
    config: DictConfig
    context: HydraContext


def split_arguments(arguments: Sequence[str]) -> Words:
    """Tell the command's own words from those of every run.

    Raises:
        UserError: an option of Hydra's that only a single run can have.
    """
    names = {field.name for field in fields(CompareConfig)}
    own: list[str] = []
    given: list[str] = []
    primary = PRIMARY
    for before, word in zip(["", *arguments], arguments, strict=False):
        option, _, value = word.partition("=")
        key = word.lstrip("+~").partition("=")[0]
        if option in CONFIG_PATH:
            raise UserError(f"{option}: give the folder by --config-dir, the file by --config-name")
        if before in CONFIG_NAME or option in CONFIG_NAME:
            primary = word if before in CONFIG_NAME else value or primary
        elif (
            word.startswith("-")
            or before in WITH_A_VALUE
            or key in names
            or key.partition("/")[0] == "hydra"
            or key.startswith("hydra.")
        ):
            own.append(word)
        else:
            given.append(word)
    return Words(own, given, primary.removesuffix(".yaml"))


def run_command(act: Callable[[CompareConfig, Call], None]) -> None:
    """Let Hydra read the words that are the command's own, and `act` on the others."""
    before, arguments = sys.argv, sys.argv[1:]
    with one_line_errors():
        words = split_arguments(arguments)

        def run(options: CompareConfig, config: DictConfig, context: HydraContext) -> None:
            act(options, Call(words, command("compare", *arguments), config, context))

        sys.argv = [before[0], *words.own]
        try:
            act_with_launcher("compare", CompareConfig, run)
        finally:
            sys.argv = before
