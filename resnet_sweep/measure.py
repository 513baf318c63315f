"""The entry point of a measurement: recipes that are decided on, on the test set.

python -m resnet_sweep.measure 'experiments=[source,source_tuned]' num_seeds=5
"""

from __future__ import annotations

import sys

from hydra.types import HydraContext
from omegaconf import DictConfig

from resnet_sweep.cli import one_line_errors
from resnet_sweep.config.effects import MeasureConfig
from resnet_sweep.effects.command import Sitting, split_arguments, start


def main() -> None:
    """Measure recipes; see --help."""
    arguments = sys.argv[1:]
    own, given = split_arguments(MeasureConfig, arguments)

    def act(options: MeasureConfig, config: DictConfig, context: HydraContext) -> None:
        from resnet_sweep.effects.measuring import measure  # brings Optuna

        sitting = Sitting("resnet_sweep.measure", arguments, options, config, context)
        measure(options, given, sitting)

    with one_line_errors():
        start("measure", MeasureConfig, act, own)


if __name__ == "__main__":
    main()
