"""What screening and ablation share: the command line, the folder, the training."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

import optuna
from hydra.types import HydraContext
from omegaconf import DictConfig

from resnet_sweep.compose import Schema, conf_dir
from resnet_sweep.config.effects import EffectsConfig
from resnet_sweep.errors import ConfigError, UserError
from resnet_sweep.options import Act, act_with_launcher
from resnet_sweep.sweep.planned import Crew, EndedRun, PlannedRun, train_planned
from resnet_sweep.sweep.running import FolderInUse, hold_folder

STUDY = "study"  # in the folder of a command; holds its runs
VALIDATION, TEST = "val_accuracy", "test_accuracy"


def split_arguments(
    schema: type[EffectsConfig], arguments: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Return what the command itself understands, and the overrides of every run."""
    names = {field.name for field in fields(schema)}
    own: list[str] = []
    given: list[str] = []
    for word in arguments:
        key = word.lstrip("+~").partition("=")[0]
        is_own = word.startswith("-") or key in names or key.partition("/")[0] == "hydra"
        (own if is_own or key.startswith("hydra.") else given).append(word)
    return own, given


def start(name: str, schema: type[Schema], act: Act[Schema], own: list[str]) -> None:
    """Let Hydra read the words that are the command's own."""
    before = sys.argv
    sys.argv = [before[0], *own]
    try:
        act_with_launcher(name, schema, act)
    finally:
        sys.argv = before


@dataclass(frozen=True)
class Sitting:
    """One call of a command.

    Args:
        module: that was called.
        arguments: its command line.
        config, context: what a launcher wants to know of Hydra.
    """

    module: str
    arguments: list[str]
    options: EffectsConfig
    config: DictConfig
    context: HydraContext

    @property
    def command(self) -> str:
        return shlex.join(["python", "-m", self.module, *self.arguments])

    def train(
        self, folder: Path, runs: list[PlannedRun], objective: str = VALIDATION
    ) -> list[EndedRun]:
        """Train what is not trained yet.

        Raises:
            UserError: the folder holds other runs, or no worker can go on.
            SystemExit: it was interrupted.
        """
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        crew = Crew(self.options, self.config, self.context, self.command)
        with _to_itself(folder):
            return train_planned(folder / STUDY, conf_dir(), objective, runs, crew)


@contextmanager
def _to_itself(folder: Path) -> Iterator[None]:
    with ExitStack() as held:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            held.enter_context(hold_folder(folder))
        except FolderInUse as holder:
            raise ConfigError("folder", folder, f"is in use ({holder})") from holder
        except OSError as error:
            raise ConfigError("folder", folder, str(error)) from error
        try:
            yield
        except OSError as error:
            raise UserError(f"{folder}: {error}") from error
