"""A Hydra callback that refuses a bad run before its folder exists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from resnet_sweep.config import Config
from resnet_sweep.config.compose import to_config
from resnet_sweep.config.errors import ConfigError, UserError
from resnet_sweep.records.run_folder import CONFIG
from resnet_sweep.system.cli import USAGE_ERROR


class RefuseBadRuns(Callback):
    """Ends the program with exit status 2; Hydra would swallow an ordinary exception.

    A good run's folder comes to be with its config.json in it, so that it can be resumed from
    its first moment on.
    """

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        try:
            run_dir = Path(config.hydra.run.dir)
            if (run_dir / CONFIG).exists():
                raise ConfigError("hydra.run.dir", run_dir, f"holds a run; resume={run_dir}?")
            _prepare(to_config(config), run_dir)
        except UserError as error:
            raise SystemExit(USAGE_ERROR) from error  # one_line_errors prints it


def _prepare(config: Config, run_dir: Path) -> None:
    from resnet_sweep.records.claim import claimed
    from resnet_sweep.training.progress import log_to_console  # these bring torch
    from resnet_sweep.training.run import prepare

    log_to_console()
    prepare(config)
    with claimed(run_dir, config):
        pass
