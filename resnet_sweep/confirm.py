"""The entry point of a confirmation: the best of a sweep, retrained, chosen and tested.

python -m resnet_sweep.confirm sweep=outputs/sweeps/night top_k=5 num_seeds=3
"""

from __future__ import annotations

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import HydraContext
from omegaconf import DictConfig, open_dict

from resnet_sweep.cli import USAGE_ERROR, one_line_errors, refuse_multirun
from resnet_sweep.compose import conf_dir, register_schemas, to_schema
from resnet_sweep.config.confirm import ConfirmConfig
from resnet_sweep.errors import UserError
from resnet_sweep.options import register_options

WHITELIST = ("resnet_sweep.*", "hydra_plugins.*", "optuna.*")


@hydra.main(
    config_path=str(conf_dir().resolve()), config_name="confirm", execution_whitelist=WHITELIST
)
def _run(composed: DictConfig) -> None:
    try:
        options = to_schema(composed, ConfirmConfig)
        from resnet_sweep.confirmation.confirming import Confirming  # brings Optuna

        Confirming(options, *_for_launchers(composed)).run()
    except UserError as error:
        raise SystemExit(USAGE_ERROR) from error  # Hydra would add lines to any other


def _for_launchers(composed: DictConfig) -> tuple[DictConfig, HydraContext]:
    """Return what a launcher wants to know of Hydra, which a run does not pass on."""
    from hydra._internal.callbacks import Callbacks

    config = composed.copy()
    with open_dict(config):
        config.hydra = HydraConfig.instance().cfg.hydra.copy()  # type: ignore[union-attr] # within a run
    context = HydraContext(GlobalHydra.instance().config_loader(), Callbacks(), WHITELIST)
    return config, context


def main() -> None:
    """Confirm a sweep; see --help."""
    register_schemas()
    register_options("confirm", ConfirmConfig)
    with one_line_errors():
        refuse_multirun("confirm")
        _run()


if __name__ == "__main__":
    main()
