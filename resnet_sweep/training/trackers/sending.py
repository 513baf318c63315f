"""Sends runs to their trackers, again and again where one fails, and never stops a run."""

from __future__ import annotations

import importlib.util
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from resnet_sweep.config import Config
from resnet_sweep.config.compose import from_dict
from resnet_sweep.config.errors import UserError, require
from resnet_sweep.config.trackers import TrackerConfig
from resnet_sweep.records.run_folder import (
    RESULT,
    EpochMetrics,
    RunResult,
    TrackerRecord,
    read_config_values,
    read_metrics,
    read_result,
    read_tracker_record,
    write_tracker_record,
)
from resnet_sweep.records.sweep_folder import RUNS, group_of
from resnet_sweep.system.console import say
from resnet_sweep.training.trackers.tracker import TrackedRun, Tracker, cause_of, shortened

PACKAGES = ("mlflow", "wandb")  # trackers that are a package, and an extra, of the same name
# A tracker may take a twentieth of the time, and one that failed rests for half a minute or more.
PAUSE_FACTOR = 20.0
RETRY_SECONDS = 30.0

log = logging.getLogger(__name__)


def chosen(config: TrackerConfig) -> list[str]:
    """Return the names of the trackers that a configuration has."""
    return [name for name, settings in vars(config).items() if settings is not None]


def check_trackers(config: TrackerConfig) -> None:
    """Find out, before anything is written, whether the trackers can be used.

    Raises:
        ConfigError: a package is not installed, or a server cannot be reached.
    """
    for name in chosen(config):
        there = name not in PACKAGES or importlib.util.find_spec(name) is not None
        allowed = f"{name} is not installed: pip install 'resnet_sweep[{name}]'"
        require(there, "tracker", name, allowed)
    if config.mlflow is not None:
        from resnet_sweep.training.trackers.mlflow import check_mlflow

        check_mlflow(config.mlflow)
    if config.wandb is not None:
        from resnet_sweep.training.trackers.wandb import check_wandb

        check_wandb(config.wandb)


def _load(name: str, run: TrackedRun) -> Tracker:
    if name == "tensorboard":
        from resnet_sweep.training.trackers.tensorboard import TensorBoardTracker

        return TensorBoardTracker(run)
    if name == "mlflow":
        from resnet_sweep.training.trackers.mlflow import MlflowTracker

        return MlflowTracker(run)
    from resnet_sweep.training.trackers.wandb import WandbTracker

    return WandbTracker(run)


class _Link:
    """One tracker and how it is faring."""

    def __init__(self, name: str, load: Callable[[], Tracker]) -> None:
        self.name = name
        self.last_error: str | None = None
        self.given = 0  # the last epoch
        self._load = load
        self._tracker: Tracker | None = None
        self._due = -float("inf")

    def call(
        self, act: Callable[[Tracker], None], rows: Sequence[EpochMetrics], *, at_once: bool = False
    ) -> bool:
        """Let the tracker take `rows` and return whether it did; between calls it is left alone."""
        started = time.monotonic()
        if started < self._due and not at_once:
            return False
        try:
            if self._tracker is None:
                self._tracker = self._load()
            act(self._tracker)
        except Exception as error:  # whatever a client of a server raises
            reason = shortened(cause_of(error))
            if self.last_error is None:
                told = "the training goes on, and what it misses is sent later"
                log.warning("tracker %s cannot be used: %s; %s", self.name, reason, told)
            self.last_error = reason
        else:
            if self.last_error is not None:
                log.info("tracker %s is back and has what it missed", self.name)
            self.last_error = None
            self.given = rows[-1].epoch if rows else 0
        took = time.monotonic() - started
        is_remote = self._tracker is None or self._tracker.is_remote
        pause = PAUSE_FACTOR * took if is_remote else 0.0
        if self.last_error is not None:
            pause = max(pause, RETRY_SECONDS)
        self._due = started + took + pause
        return self.last_error is None

    def close(self) -> None:
        if self._tracker is not None:
            try:
                self._tracker.close()
            except Exception as error:
                log.warning("tracker %s: %s", self.name, shortened(error))


class Trackers:
    """All trackers of one run, none of which can end it or change its numbers.

    Args:
        only: names of trackers; null: all that the configuration has.
    """

    def __init__(self, config: Config, run_dir: Path, only: Sequence[str] | None = None) -> None:
        names = [name for name in chosen(config.tracker) if only is None or name in only]
        self._run_dir = run_dir
        self._rows: Sequence[EpochMetrics] = ()
        self._record = read_tracker_record(run_dir) or TrackerRecord()
        self._links = [_Link(name, partial(self._open, name, config)) for name in names]
        self._keeps_record = names not in ([], ["tensorboard"])

    def _open(self, name: str, config: Config) -> Tracker:
        group, done = group_of(self._run_dir), self._record.epochs.get(name, 0)
        name_of_run = group.name_of(self._run_dir) if group else self._run_dir.name
        run = TrackedRun(self._record.id, name_of_run, group, self._run_dir, config, done)
        return _load(name, run)

    def begin(self, rows: Sequence[EpochMetrics]) -> None:
        """Start the run with every tracker, or continue it after `rows`."""
        self._rows = rows
        names = [link.name for link in self._links]
        self._record.ended = [name for name in self._record.ended if name not in names]
        self._write()
        for link in self._links:
            link.call(lambda tracker: tracker.begin(rows), rows)
        self._note()

    def update(self, rows: Sequence[EpochMetrics]) -> None:
        """Give all finished epochs to every tracker that is due."""
        self._rows = rows
        for link in self._links:
            link.call(lambda tracker: tracker.update(rows), rows)
        self._note()

    def end(self, result: RunResult, rows: Sequence[EpochMetrics] | None = None) -> list[str]:
        """Give the result, and return the trackers that could not take the whole run.

        Args:
            rows: all epochs; null: those that were given last.
        """
        rows = self._rows if rows is None else rows

        def end(tracker: Tracker) -> None:
            tracker.update(rows)
            tracker.end(result)

        for link in self._links:
            if link.call(end, rows, at_once=True):
                self._record.ended.append(link.name)
            link.close()
        self._note()
        missed = {link.name: link.last_error for link in self._links if link.last_error}
        for name, error in missed.items():
            log.warning(
                "tracker %s does not have the whole run (%s): once it can be used, "
                "resume=%s sends the rest",
                name,
                error,
                self._run_dir,
            )
        return list(missed)

    def close(self) -> None:
        """Let go of every tracker where the run did not come to its end."""
        for link in self._links:
            link.close()

    def _note(self) -> None:
        """Remember what each has, for a later sitting."""
        epochs = self._record.epochs
        for link in self._links:
            epochs[link.name] = max(epochs.get(link.name, 0), link.given)
        self._write()

    def _write(self) -> None:
        if self._keeps_record:
            try:
                write_tracker_record(self._run_dir, self._record)
            except OSError as error:  # what is written next tells that the disk is full
                log.warning("tracker.json could not be written: %s", error)


def unsent(config: Config, run_dir: Path) -> list[str]:
    """Return the trackers that do not have the result of a run that has ended."""
    record = read_tracker_record(run_dir)
    names = [name for name in chosen(config.tracker) if name in PACKAGES]
    return [name for name in names if record is None or name not in record.ended]


def send_rest(config: Config, run_dir: Path) -> list[str]:
    """Send an ended run to the trackers that lack it; return those that still do."""
    names = unsent(config, run_dir)
    if not names:
        return []
    trackers = Trackers(config, run_dir, only=names)
    return trackers.end(read_result(run_dir), read_metrics(run_dir))


def close_group(config: TrackerConfig, folder: Path, is_over: bool) -> None:
    """Send what the runs of a sweep could not, and mark the sweep itself as ended.

    Where a server is still away, one line says how many runs it lacks.

    Args:
        is_over: not interrupted: no later sitting goes on with it.
    """
    if not set(chosen(config)) & set(PACKAGES):
        return
    before, log.disabled = log.disabled, True  # one line tells of all runs
    try:
        missing = _send_rest_of_all(config, folder)
    finally:
        log.disabled = before
    if missing:
        lack = f"lack the end of {missing} runs in {folder}"
        say(f"trackers {lack}: once they can be used, the same command sends it")
    elif config.mlflow is not None and is_over:
        from resnet_sweep.training.trackers.mlflow import end_group

        group = group_of(folder / RUNS / "0")
        assert group is not None
        try:
            end_group(config.mlflow, group)
        except Exception as error:  # whatever the client raises: the runs themselves are there
            say(f"tracker mlflow: the run of the sweep could not be ended: {shortened(error)}")


def _send_rest_of_all(config: TrackerConfig, folder: Path) -> int:
    """Return how many ended runs of a sweep a tracker still lacks."""
    missing, can_send = 0, True
    for result in sorted((folder / RUNS).rglob(RESULT)):
        run_dir = result.parent
        try:
            own = from_dict(read_config_values(run_dir))
            lacking = send_rest(own, run_dir) if can_send else unsent(own, run_dir)
        except UserError:
            continue  # damaged: the sweep says so
        missing += bool(lacking)
        if lacking and can_send:
            try:
                check_trackers(config)
            except UserError:
                can_send = False  # else each run would wait for the server
    return missing
