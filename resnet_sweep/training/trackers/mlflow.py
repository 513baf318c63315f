"""MLflow: a run on a server, nested under one for its sweep.

Runs are found again by a tag, and what is there already is asked of the server, so that neither a
kill nor an answer that got lost doubles anything.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

from resnet_sweep.config.errors import ConfigError
from resnet_sweep.config.trackers import MlflowConfig
from resnet_sweep.records.run_folder import EpochMetrics, RunResult
from resnet_sweep.records.sweep_folder import RunGroup
from resnet_sweep.system.locks import FileLock
from resnet_sweep.training.trackers.tracker import (
    TrackedRun,
    Tracker,
    cause_of,
    metrics_of,
    results_of,
    shortened,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

URI = "MLFLOW_TRACKING_URI"
ID_TAG, PARENT_TAG, STATUS_TAG = "resnet_sweep.id", "mlflow.parentRunId", "resnet_sweep.status"
LOCK = "tracker.lock"
ALWAYS = "lr"  # a metric that every epoch has
# The server takes 1,000 metrics and 100 parameters at once, and 6,000 characters.
EPOCHS_AT_ONCE, PARAMS_AT_ONCE, LONGEST_PARAM = 100, 100, 6000
# Of the client, unless the user has set them: it waits minutes and tries seven times by itself.
ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
ENDINGS = {"completed": "FINISHED", "pruned": "FINISHED", "interrupted": "KILLED"}


def open_client(settings: MlflowConfig) -> MlflowClient:
    """Return the client of the server that the settings or the environment name.

    Raises:
        ConfigError: neither names one.
    """
    uri = settings.uri or os.environ.get(URI, "")
    if not uri:
        allowed = f"must be the server's address, or set {URI}"
        raise ConfigError("tracker.mlflow.uri", None, allowed)
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri)


def check_mlflow(settings: MlflowConfig) -> None:
    """Ask the server for the experiment.

    Raises:
        ConfigError: it cannot be reached, or cannot take the run.
    """
    client = open_client(settings)
    try:
        experiment = client.get_experiment_by_name(settings.experiment)
    except Exception as error:  # the client's own, or of what it is made of
        allowed = f"cannot be reached: {shortened(cause_of(error))}; tracker=none trains without"
        raise ConfigError("tracker.mlflow.uri", client.tracking_uri, allowed) from error
    if experiment is not None and experiment.lifecycle_stage != "active":
        allowed = "was deleted on the server: restore it there, or take another name"
        raise ConfigError("tracker.mlflow.experiment", settings.experiment, allowed)


class MlflowTracker(Tracker):
    """One run on the server."""

    def __init__(self, run: TrackedRun) -> None:
        settings = run.config.tracker.mlflow
        assert settings is not None
        self._run = run
        self._settings = settings
        self._client = open_client(settings)
        self._run_id: str | None = None
        self._there: set[int] | None = None  # epochs; None: only the server knows

    def update(self, rows: Sequence[EpochMetrics]) -> None:
        from mlflow.entities import Metric

        run_id = self._open()
        if self._there is None:
            history = self._client.get_metric_history(run_id, ALWAYS)
            self._there = {metric.step for metric in history}
        there, self._there = self._there, None  # until the server has taken the rest
        missing = [row for row in rows if row.epoch not in there]
        for some in _batches(missing, EPOCHS_AT_ONCE):
            now = _now()
            metrics = [
                Metric(name, value, now, row.epoch)
                for row in some
                for name, value in metrics_of(row).items()
            ]
            self._client.log_batch(run_id, metrics=metrics)
        self._there = there | {row.epoch for row in missing}

    def end(self, result: RunResult) -> None:
        from mlflow.entities import Metric, RunTag

        run_id, client = self._open(), self._client
        if self._settings.artifacts:
            for path in self._run.artifacts():
                client.log_artifact(run_id, str(path))
        now = _now()
        numbers = [Metric(name, value, now, 0) for name, value in results_of(result).items()]
        client.log_batch(run_id, metrics=numbers, tags=[RunTag(STATUS_TAG, result.status)])
        client.set_terminated(run_id, ENDINGS.get(result.status, "FAILED"))

    def _open(self) -> str:
        """Return the id of the run, found or made, with its parameters in it."""
        if self._run_id is None:
            from mlflow.entities import Param

            experiment = _experiment(self._client, self._settings.experiment)
            tags = {ID_TAG: self._run.id}
            if self._run.group is not None:
                tags[PARENT_TAG] = _parent(self._client, experiment, self._run.group)
            found = _found_or_made(self._client, experiment, tags, self._run.name)
            params = []
            for name, value in self._run.settings().items():
                text = "null" if value is None else str(value)
                if len(text) > LONGEST_PARAM:
                    text = f"{text[: LONGEST_PARAM - 3]}..."
                if name not in found.data.params:
                    params.append(Param(name, text))
            for batch in _batches(params, PARAMS_AT_ONCE):
                self._client.log_batch(found.info.run_id, params=batch)
            self._run_id = found.info.run_id
        return self._run_id


def end_group(settings: MlflowConfig, group: RunGroup) -> None:
    """Mark the run of a sweep as finished, if there is one; may raise anything."""
    client = open_client(settings)
    experiment = client.get_experiment_by_name(settings.experiment)
    found = None if experiment is None else _found(client, experiment.experiment_id, group.id)
    if found is not None:
        client.set_terminated(found.info.run_id)


def _experiment(client: MlflowClient, name: str) -> str:
    for _ in range(2):
        found = client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        try:
            return str(client.create_experiment(name))
        except Exception as error:
            failure = error  # another run may have made it in between
    raise failure


def _parent(client: MlflowClient, experiment: str, group: RunGroup) -> str:
    """Return the run of the whole group, which the first of its runs makes."""
    with ExitStack() as stack:
        with suppress(OSError):  # a file system without locks
            stack.enter_context(FileLock(group.folder / LOCK))  # the other workers wait
        run = _found_or_made(client, experiment, {ID_TAG: group.id}, group.name)
    return str(run.info.run_id)


def _found_or_made(client: MlflowClient, experiment: str, tags: dict[str, str], name: str) -> Run:
    run = _found(client, experiment, tags[ID_TAG])
    if run is None:
        return client.create_run(experiment, tags=tags, run_name=name)
    if run.info.status != "RUNNING":
        client.update_run(run.info.run_id, status="RUNNING")
    return run


def _found(client: MlflowClient, experiment: str, own_id: str) -> Run | None:
    found = client.search_runs([experiment], f"tags.`{ID_TAG}` = '{own_id}'", max_results=1)
    return found[0] if found else None


def _batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for first in range(0, len(items), size):
        yield items[first : first + size]


def _now() -> int:
    return int(time.time() * 1000)
