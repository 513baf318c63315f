"""The entry point of a screening: which of many changes to a recipe can be told from noise.

python -m resnet_sweep.screen factors=ingredients num_seeds=2
"""

from __future__ import annotations

import sys

from hydra.types import HydraContext
from omegaconf import DictConfig

from resnet_sweep.cli import one_line_errors
from resnet_sweep.config.effects import ScreenConfig
from resnet_sweep.effects.command import Sitting, split_arguments, start


def main() -> None:
    """Screen changes; see --help."""
    arguments = sys.argv[1:]
    own, given = split_arguments(ScreenConfig, arguments)

    def act(options: ScreenConfig, config: DictConfig, context: HydraContext) -> None:
        from resnet_sweep.effects.screening import screen  # brings Optuna

        sitting = Sitting("resnet_sweep.screen", arguments, options, config, context)
        screen(options, given, sitting)

    with one_line_errors():
        start("screen", ScreenConfig, act, own)


if __name__ == "__main__":
    main()
