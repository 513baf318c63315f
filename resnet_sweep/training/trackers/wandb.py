"""Weights & Biases: a run of a project, grouped by its sweep.

Its own process holds what it is given in a file of the run folder, sends it, and tries again by
itself while the server is away.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from resnet_sweep.config.errors import ConfigError, require
from resnet_sweep.config.trackers import WandbConfig
from resnet_sweep.records.run_folder import EpochMetrics, RunResult
from resnet_sweep.training.trackers.tracker import (
    TrackedRun,
    Tracker,
    metrics_of,
    results_of,
    shortened,
)

START_SECONDS, END_SECONDS, CHECK_SECONDS = 10.0, 30.0, 5.0
KEYS = ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE")


def check_wandb(settings: WandbConfig) -> None:
    """Look for a key and ask the server for an answer of any kind; offline needs neither.

    Raises:
        ConfigError: there is no key, or the server cannot be reached.
    """
    if settings.mode == "offline":
        return
    wandb = _wandb()
    from requests.utils import get_netrc_auth  # wandb itself reads it so

    url = str(wandb.setup().settings.base_url)
    has_key = any(os.environ.get(name) for name in KEYS) or get_netrc_auth(url) is not None
    allowed = "needs an API key: `wandb login`, or set WANDB_API_KEY, or take mode=offline"
    require(has_key, "tracker.wandb.mode", settings.mode, allowed)
    try:
        urlopen(url, timeout=CHECK_SECONDS).close()
    except HTTPError:
        pass  # it is there
    except (URLError, OSError) as error:
        allowed = f"{url} cannot be reached: {shortened(error)}; mode=offline needs no server"
        raise ConfigError("tracker.wandb.mode", settings.mode, allowed) from error


def _wandb() -> Any:
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    import wandb

    return wandb


class WandbTracker(Tracker):
    """One run of a project."""

    def __init__(self, run: TrackedRun) -> None:
        settings = run.config.tracker.wandb
        assert settings is not None
        self._tracked = run
        self._settings = settings
        self._wandb = _wandb()
        self._run: Any = None
        self._given = run.done_epochs

    def update(self, rows: Sequence[EpochMetrics]) -> None:
        run = self._open()
        for row in rows:
            if row.epoch > self._given:
                run.log(metrics_of(row), step=row.epoch)
                self._given = row.epoch

    def end(self, result: RunResult) -> None:
        run = self._open()
        run.summary.update({**results_of(result), "status": result.status})
        if self._settings.artifacts:
            files = self._wandb.Artifact(f"run-{self._tracked.id}", type="run")
            for path in self._tracked.artifacts():
                files.add_file(str(path), policy="immutable")
            run.log_artifact(files)
        self._run = None
        run.finish(exit_code=0 if result.status in ("completed", "pruned") else 1)

    def close(self) -> None:
        if self._run is not None:
            run, self._run = self._run, None
            run.finish(exit_code=1)

    def _open(self) -> Any:
        if self._run is None:
            tracked = self._tracked
            # Nothing is printed, and what the run gives is sent and nothing else.
            quiet = self._wandb.Settings(
                silent=True,
                console="off",
                save_code=False,
                disable_git=True,
                disable_code=True,
                x_disable_meta=True,
                x_disable_stats=True,
                x_disable_machine_info=True,
                init_timeout=START_SECONDS,
                finish_timeout=END_SECONDS,
                finish_timeout_raises=True,
            )
            self._run = self._wandb.init(
                project=self._settings.project,
                entity=self._settings.entity,
                id=tracked.id,
                name=tracked.name,
                group=None if tracked.group is None else tracked.group.name,
                config=tracked.settings(),
                dir=str(tracked.run_dir),
                mode=self._settings.mode,
                resume="allow",
                reinit="create_new",
                settings=quiet,
            )
        return self._run
