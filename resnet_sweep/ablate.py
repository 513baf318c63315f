"""The entry point of a ablation: from one recipe to another, one change at a time.

python -m resnet_sweep.ablate steps=source_to_best num_seeds=5
"""

from __future__ import annotations

import sys

from hydra.types import HydraContext
from omegaconf import DictConfig

from resnet_sweep.cli import one_line_errors
from resnet_sweep.config.effects import AblateConfig
from resnet_sweep.effects.command import Sitting, split_arguments, start


def main() -> None:
    """Ablate a recipe; see --help."""
    arguments = sys.argv[1:]
    own, given = split_arguments(AblateConfig, arguments)

    def act(options: AblateConfig, config: DictConfig, context: HydraContext) -> None:
        from resnet_sweep.effects.ablation import ablate  # brings Optuna

        sitting = Sitting("resnet_sweep.ablate", arguments, options, config, context)
        ablate(options, given, sitting)

    with one_line_errors():
        start("ablate", AblateConfig, act, own)


if __name__ == "__main__":
    main()
