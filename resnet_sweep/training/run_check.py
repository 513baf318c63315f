"""A Hydra callback: bad runs are refused before their folder exists, failed ones counted."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

from hydra.core.utils import env_override
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from resnet_sweep.config import Config
from resnet_sweep.config.compose import to_config
from resnet_sweep.config.errors import ConfigError, UserError
from resnet_sweep.records.run_folder import CONFIG, RESULT, read_result
from resnet_sweep.system.cli import USAGE_ERROR, refuse_sweep_without_multirun
from resnet_sweep.system.console import say
from resnet_sweep.training.trackers import check_trackers


class RefuseBadRuns(Callback):
    """Ends the program with exit status 2; Hydra would swallow an ordinary exception.

    A good run's folder comes to be with its config.json in it, so that it can be resumed from
    its first moment on.
    """

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        try:
            refuse_sweep_without_multirun(config.hydra.overrides.hydra)
            run_dir = Path(config.hydra.run.dir)
            if (run_dir / CONFIG).exists():
                raise ConfigError("hydra.run.dir", run_dir, f"holds a run; resume={run_dir}?")
            with env_override(dict(config.hydra.job.env_set)):  # Hydra sets them for the run alone
                checked = to_config(config)
                check_trackers(checked.tracker)
                _prepare(checked, run_dir)
        except UserError as error:
            raise SystemExit(USAGE_ERROR) from error  # one_line_errors prints it

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        self._before = _results(config)
        try:
            check_trackers(OmegaConf.to_object(config.tracker))  # type: ignore[arg-type]
        except (UserError, OmegaConfBaseException) as error:
            raise SystemExit(USAGE_ERROR) from error  # one_line_errors prints it

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """End with exit status 1 where runs of a plain multirun have failed."""
        if not config.hydra.sweeper._target_.endswith(".BasicSweeper"):
            return  # a sweep over a search space counts its trials itself
        # From the folders, since the runs may have trained in other processes; without clocks,
        # since a file server has its own.
        written = _results(config).items() - self._before.items()
        results = [read_result(path.parent) for path, _ in written]
        failed = Counter(r.status for r in results if r.status not in ("completed", "pruned"))
        if failed:
            counts = ", ".join(f"{count} {status}" for status, count in failed.items())
            total = f"{failed.total()} of {len(results)} runs did not complete"
            say(f"error: {total} ({counts}): {config.hydra.sweep.dir}", sys.stderr)
            raise SystemExit(1)


def _results(config: DictConfig) -> dict[Path, int]:
    """Return the results of a multirun's folder and when each was written, in nanoseconds."""
    paths = Path(config.hydra.sweep.dir).rglob(RESULT)
    return {path: path.stat().st_mtime_ns for path in paths}


def _prepare(config: Config, run_dir: Path) -> None:
    from resnet_sweep.records.claim import claimed
    from resnet_sweep.training.progress import log_to_console  # these bring torch
    from resnet_sweep.training.run import prepare

    log_to_console()
    prepare(config)
    with claimed(run_dir, config):
        pass
