"""What screening and ablation share: the command line, the folder, the training."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import TypeVar

import optuna
from hydra.types import HydraContext
from omegaconf import DictConfig

from resnet_sweep.config.effects import EffectsConfig
from resnet_sweep.config.errors import ConfigError
from resnet_sweep.records.ended_run import EndedRun
from resnet_sweep.system.cli import one_line_errors
from resnet_sweep.system.console import command
from resnet_sweep.system.options import act_with_launcher
from resnet_sweep.workers.coordination import hold_or_refuse
from resnet_sweep.workers.planned import PlannedRun, WorkerPool, check_runs, train_planned

WITH_A_VALUE = ("--cfg", "-c", "--package", "-p")  # Hydra's own, in two words
STUDY = "study"  # in the folder of a command; holds its runs
VALIDATION, TEST = "val_accuracy", "test_accuracy"
Options = TypeVar("Options", bound=EffectsConfig)


def split_arguments(
    schema: type[EffectsConfig], arguments: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Return what the command itself understands, and the overrides of every run."""
    names = {field.name for field in fields(schema)}
    own: list[str] = []
    given: list[str] = []
    for before, word in zip(["", *arguments], arguments, strict=False):
        key = word.lstrip("+~").partition("=")[0]
        is_own = word.startswith("-") or key in names or key.partition("/")[0] == "hydra"
        is_own = is_own or key.startswith("hydra.") or before in WITH_A_VALUE
        (own if is_own else given).append(word)
    return own, given


@dataclass(frozen=True)
class Sitting:
    """One call of a command.

    Args:
        name: of the module that was called.
        arguments: its command line.
        config, context: what a launcher wants to know of Hydra.
    """

    name: str
    arguments: list[str]
    options: EffectsConfig
    config: DictConfig
    context: HydraContext

    @property
    def command(self) -> str:
        return command(self.name, *self.arguments)

    def train(
        self, folder: Path, runs: list[PlannedRun], objective: str = VALIDATION
    ) -> list[EndedRun]:
        """Train what is not trained yet.

        Raises:
            UserError: the folder holds other runs, or no worker can go on.
            SystemExit: it was interrupted.
        """
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        check_runs(runs, self.config)
        workers = WorkerPool(self.options, self.config, self.context, self.command)
        title = f"{self.name}: {folder}"
        with hold_or_refuse(folder, "folder", partial(_in_use, folder)):
            return train_planned(folder / STUDY, objective, runs, workers, title)


def run_command(
    name: str, schema: type[Options], act: Callable[[Options, list[str], Sitting], None]
) -> None:
    """Let Hydra read the words that are the command's own, and `act` on the others."""
    before, arguments = sys.argv, sys.argv[1:]
    own, given = split_arguments(schema, arguments)

    def sit(options: Options, config: DictConfig, context: HydraContext) -> None:
        act(options, given, Sitting(name, arguments, options, config, context))

    with one_line_errors():
        sys.argv = [before[0], *own]
        try:
            act_with_launcher(name, schema, sit)
        finally:
            sys.argv = before


def _in_use(folder: Path, holder: str) -> ConfigError:
    return ConfigError("folder", folder, f"is in use ({holder})")
