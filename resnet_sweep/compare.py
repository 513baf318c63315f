"""The entry point of a comparison: recipes side by side, or what changes to a recipe do.

python -m resnet_sweep.compare 'recipes=[source,source_tuned]'
python -m resnet_sweep.compare steps=source_to_best
python -m resnet_sweep.compare factors=ingredients
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields

from hydra.types import HydraContext
from omegaconf import DictConfig

from resnet_sweep.config.compare import CompareConfig
from resnet_sweep.config.compose import key_of
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
        key = key_of(word)
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


def main() -> None:
    """Compare; see --help. Hydra reads the command's own words alone."""
    before, arguments = sys.argv, sys.argv[1:]
    with one_line_errors():
        words = split_arguments(arguments)

        def act(options: CompareConfig, config: DictConfig, context: HydraContext) -> None:
            from resnet_sweep.comparison.command import compare  # brings Optuna and SciPy
            from resnet_sweep.workers.planned import WorkerPool

            workers = WorkerPool(options, config, context, command("compare", *arguments))
            compare(options, workers, words.given, words.primary)

        sys.argv = [before[0], *words.own]
        try:
            act_with_launcher("compare", CompareConfig, act)
        finally:
            sys.argv = before


if __name__ == "__main__":
    main()
