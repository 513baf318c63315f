"""Find small image networks: Hydra-configured training runs and Optuna sweeps under a budget.

from resnet_sweep import compose_config, load_runs, train_run

config = compose_config("experiment=quickstart", "train.epochs=1")
result = train_run(config, "outputs/runs/mine")
print(result.val_accuracy, result.num_params)
runs = load_runs("outputs")  # a pandas DataFrame, one row for each run
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from resnet_sweep.config import Config
    from resnet_sweep.records.run_folder import RunResult

__version__ = "0.1.0"
__all__ = ["compose_config", "load_runs", "train_run"]

# Each function imports what it needs: the commands must not pay for torch or pandas.


def compose_config(*overrides: str) -> Config:
    """Return the checked configuration that the command line `overrides` would give.

    Raises:
        UserError: a field or a value that is not allowed.
    """
    from hydra import compose, initialize_config_dir
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from resnet_sweep.config.compose import (
        conf_dir,
        refuse_hidden_widths,
        register_schemas,
        to_config,
    )
    from resnet_sweep.config.errors import UserError
    from resnet_sweep.config.experiments import refuse_choices_beside_experiments
    from resnet_sweep.config.mistakes import describe

    register_schemas()
    try:
        with initialize_config_dir(str(conf_dir().resolve())):
            config = to_config(compose("config", list(overrides)))
            refuse_choices_beside_experiments(overrides)
            refuse_hidden_widths(config, overrides)
            return config
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(describe(error)) from error


def train_run(config: Config, folder: str | Path) -> RunResult:
    """Train one configuration in a run folder, or continue the run that the folder holds.

    Raises:
        UserError: the configuration cannot be trained, or not in this folder.
    """
    from resnet_sweep.training.run import run_training
    from resnet_sweep.training.trackers.sending import check_trackers

    check_trackers(config.tracker)
    return run_training(config, Path(folder))


def load_runs(folder: str | Path) -> pd.DataFrame:
    """Return a row for each run below a folder, also for pruned, failed, running and damaged ones.

    Columns are the fields of the result and of the configuration, such as `val_accuracy` and
    `optimizer.lr`; `status` tells the runs apart.
    """
    from resnet_sweep.analysis import load_runs as load

    return load(folder)
