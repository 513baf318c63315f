"""The Hydra sweeper: -m hydra/sweeper=optuna. Free of torch, and of Optuna until it sweeps."""

from __future__ import annotations

from typing import Any

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from resnet_sweep.search.schema import register_sweeper_schemas

register_sweeper_schemas()


class OptunaSweeper(Sweeper):
    """hydra-optuna-sweeper's options, samplers and override syntax on a pool of workers."""

    def __init__(self, **options: Any) -> None:
        """Take the node hydra.sweeper; setup() reads it again, whole and typed."""

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        # The workers run trials by themselves, whatever the task function is.
        self._context = hydra_context
        self._config = config

    def sweep(self, arguments: list[str]) -> None:
        """Run the sweep to its end.

        Args:
            arguments: overrides of the command line, sweeping or not.

        Raises:
            UserError: what cannot be swept; no trial has been started.
            SystemExit: it was interrupted, or too many trials failed.
        """
        from resnet_sweep.sweep.command import SweepCommand

        SweepCommand(self._config, self._context, arguments).run()
