"""The entry point of a follow-up: what survived a screening, with more seeds.

python -m resnet_sweep.follow_up screening=outputs/screenings/ingredients num_seeds=10
"""

from __future__ import annotations

import sys

from hydra.types import HydraContext
from omegaconf import DictConfig

from resnet_sweep.cli import one_line_errors
from resnet_sweep.config.effects import FollowUpConfig
from resnet_sweep.effects.command import Sitting, split_arguments, start


def main() -> None:
    """Follow a screening up; see --help."""
    arguments = sys.argv[1:]
    own, given = split_arguments(FollowUpConfig, arguments)

    def act(options: FollowUpConfig, config: DictConfig, context: HydraContext) -> None:
        from resnet_sweep.effects.following import follow_up  # brings Optuna

        sitting = Sitting("resnet_sweep.follow_up", arguments, options, config, context)
        follow_up(options, given, sitting)

    with one_line_errors():
        start("follow_up", FollowUpConfig, act, own)


if __name__ == "__main__":
    main()
