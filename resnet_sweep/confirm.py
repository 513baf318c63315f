"""The entry point of a confirmation: the best of a sweep, retrained, chosen and tested.

python -m resnet_sweep.confirm sweep=outputs/sweeps/night top_k=5 num_seeds=3
"""

from __future__ import annotations

from hydra.types import HydraContext
from omegaconf import DictConfig

from resnet_sweep.config.confirm import ConfirmConfig
from resnet_sweep.system.cli import one_line_errors
from resnet_sweep.system.options import act_with_launcher


def _confirm(options: ConfirmConfig, config: DictConfig, context: HydraContext) -> None:
    from resnet_sweep.confirmation.command import Confirming  # brings Optuna

    Confirming(options, config, context).run()


def main() -> None:
    """Confirm a sweep; see --help."""
    with one_line_errors():
        act_with_launcher("confirm", ConfirmConfig, _confirm)


if __name__ == "__main__":
    main()
