"""One accepted trial from its configuration to its outcome, whatever happens on the way.

Imports torch only where a training has brought it already.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from optuna.trial import Trial

from resnet_sweep.config import Config
from resnet_sweep.config.errors import RunFolderError, one_line
from resnet_sweep.config.scheduler import ExponentialConfig, PlateauConfig, StepConfig
from resnet_sweep.records.run_folder import (
    CheckpointError,
    EpochMetrics,
    RecordError,
    RunResult,
    finished_result,
    read_metrics,
)
from resnet_sweep.records.run_lock import check_same_run
from resnet_sweep.records.run_state import BeyondRepair
from resnet_sweep.records.sweep_folder import RUNG
from resnet_sweep.search.schema import epoch_value, objective_values
from resnet_sweep.search.settings import SweepSettings
from resnet_sweep.search.trial_attributes import PRUNED_AFTER, REPEAT_OF
from resnet_sweep.system.stopping import stop_on_signals
from resnet_sweep.workers.study import Outcome

OnEpoch = Callable[[EpochMetrics], None]
Training = Callable[[Config, Path, OnEpoch | None], RunResult]

# Errors that every further trial would meet as well: EIO, ENOSPC, EROFS, EDQUOT, EACCES.
_BROKEN_FOLDER = (
    *(f"OSError: [Errno {number}]" for number in (5, 28, 30, 122)),
    "PermissionError:",
)
_GRACE_SECONDS = 60.0

log = logging.getLogger(__name__)


class Stopped(Exception):
    """The trial is to go on later from its checkpoint."""


class BrokenFolder(Exception):
    """The sweep folder cannot be written: no trial can be trained."""


class TrainingTrial:
    """Trains one trial and watches it.

    Args:
        should_stop: whether the sweep has been asked to stop.
        give_up: called from another thread where a trial over its time does not answer.
    """

    def __init__(
        self,
        trial: Trial,
        settings: SweepSettings,
        run_training: Training,
        should_stop: Callable[[], bool],
        give_up: Callable[[Outcome], None],
    ) -> None:
        self._trial = trial
        self._settings = settings
        self._run_training = run_training
        self._should_stop = should_stop
        self._give_up = give_up
        self._epochs = settings.epochs
        self._rung_seconds = 0.0
        self._timed_out = False
        self._pruned_after: int | None = trial.user_attrs.get(PRUNED_AFTER)
        # Through the storage: study.trials would copy the whole study.
        stored = trial.study._storage.get_trial(trial._trial_id)
        self._reported = set(stored.intermediate_values)

    def train(self, config: Config, run_dir: Path) -> Outcome:
        """Return what became of the trial.

        Raises:
            Stopped, BrokenFolder: it is to be taken up again.
            UserError: its configuration cannot be trained.
        """
        self._epochs = config.train.epochs
        with self._watch(run_dir):
            try:
                pruned = self._train_rungs(config, run_dir)
                return pruned or self._outcome(self._result(config, run_dir, self._on_epoch))
            except OSError as error:
                raise BrokenFolder(str(error)) from error
            except (RunFolderError, RecordError) as error:
                cause = error.__cause__
                if cause is not None and one_line(cause).startswith(_BROKEN_FOLDER):
                    raise BrokenFolder(str(error)) from error
                return Outcome("failed", reason="failed", error=str(error))

    def _train_rungs(self, config: Config, run_dir: Path) -> Outcome | None:
        """Train the shorter runs; return the outcome if the trial ends at one of them."""
        for epochs in self._settings.rungs:
            short = compressed(config, epochs)
            result = self._result(short, rung_dir(run_dir, epochs), self._on_rung_epoch)
            outcome = self._outcome(result)
            if outcome.state != "completed":
                return outcome
            if outcome.values and self._prune_after(epochs, outcome.values[0]):
                return replace(outcome, state="pruned", values=None)
            self._rung_seconds += result.train_seconds
        return None

    def _result(self, config: Config, run_dir: Path, on_epoch: OnEpoch) -> RunResult:
        result = finished_result(run_dir, ("completed", "pruned"))
        if result is not None:
            check_same_run(run_dir, config)
        result = result or self._run(config, run_dir, on_epoch)
        if result.status == "out_of_memory":
            log.warning("trial %d is out of memory; trying once more", self._trial.number)
            import torch

            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            result = self._run_training(config, run_dir, on_epoch)
        return result

    def _run(self, config: Config, run_dir: Path, on_epoch: OnEpoch) -> RunResult:
        """Train, from the beginning where a kill or the disk has left nothing to go on from."""
        try:
            return self._run_training(config, run_dir, on_epoch)
        except (CheckpointError, BeyondRepair) as error:
            log.warning("trial %d starts from its beginning: %s", self._trial.number, error)
            from resnet_sweep.records.checkpoint import set_aside

            set_aside(run_dir)
            return self._run_training(config, run_dir, on_epoch)

    def _outcome(self, result: RunResult) -> Outcome:
        error = result.error or ""
        if error.startswith(_BROKEN_FOLDER):
            raise BrokenFolder(error)
        if result.status == "interrupted" and not self._timed_out:
            raise Stopped
        seconds = self._rung_seconds + result.train_seconds
        outcome = Outcome("failed", epochs=result.epochs, train_seconds=seconds)
        values = objective_values(result, self._settings.objectives)
        if result.status == "completed" and values is not None:
            return replace(outcome, state="completed", values=values)
        if result.status == "pruned":
            return replace(outcome, state="pruned")
        reason = "diverged" if result.status == "completed" else result.status
        reason = "timeout" if self._timed_out else reason
        return replace(outcome, reason=reason, error=error or None)

    def _on_rung_epoch(self, metrics: EpochMetrics) -> None:
        if not (self._timed_out or self._should_stop()):
            return
        if threading.current_thread() is threading.main_thread():
            signal.raise_signal(signal.SIGTERM)  # lets the run write a checkpoint after its step
        else:  # no signals there: the last periodic checkpoint counts
            from resnet_sweep.training.loop import Interrupted

            raise Interrupted

    def _on_epoch(self, metrics: EpochMetrics) -> None:
        self._on_rung_epoch(metrics)
        value = epoch_value(metrics, self._settings.objectives)
        last = metrics.epoch >= self._epochs
        if value is None or self._settings.rungs:
            return
        if self._prune_after(metrics.epoch, value) and not last:
            from resnet_sweep.training.loop import PrunedRun

            raise PrunedRun(f"after epoch {metrics.epoch}")

    def _prune_after(self, epoch: int, value: float) -> bool:
        if self._pruned_after is not None and epoch >= self._pruned_after:
            return True  # decided before a kill: the pruner does not say it twice
        if epoch in self._reported:  # before a kill, after its last checkpoint
            return False
        self._trial.report(value, epoch)
        self._reported.add(epoch)
        # A repeat measures the noise of the whole training.
        prunes = REPEAT_OF not in self._trial.user_attrs and self._trial.should_prune()
        if prunes and epoch < self._epochs:
            self._trial.set_user_attr(PRUNED_AFTER, epoch)
        return prunes

    @contextmanager
    def _watch(self, run_dir: Path) -> Iterator[None]:
        """End the training when its time is over; earlier sittings of the trial count."""
        seconds = self._settings.trial_timeout_seconds
        if seconds is None:
            yield
            return
        folders = [*(rung_dir(run_dir, epochs) for epochs in self._settings.rungs), run_dir]
        seconds = max(0.0, seconds - sum(map(_trained_seconds, folders)))
        done = threading.Event()
        watch = threading.Thread(target=self._end_at, args=(seconds, done), daemon=True)
        with stop_on_signals() as stop:
            watch.start()
            try:
                yield
            finally:
                done.set()
                watch.join()
                if self._timed_out:
                    stop.withdraw()  # the signal was for this trial alone

    def _end_at(self, seconds: float, done: threading.Event) -> None:
        started = time.monotonic()
        if done.wait(seconds):
            return
        self._timed_out = True
        os.kill(os.getpid(), signal.SIGTERM)
        if not done.wait(_GRACE_SECONDS):
            minutes = (time.monotonic() - started) / 60
            error = f"no step ended for {minutes:.1f} minutes"
            self._give_up(Outcome("failed", reason="timeout", error=error))


def _trained_seconds(run_dir: Path) -> float:
    """Return how long the epochs took that a run has recorded."""
    try:
        return sum(metrics.epoch_seconds for metrics in read_metrics(run_dir))
    except RecordError:  # there are none yet, or the run says what is wrong
        return 0.0


def compressed(config: Config, epochs: int) -> Config:
    """Return the run with all of its schedule in `epochs` epochs."""
    share = epochs / config.train.epochs
    scheduler, regularization = config.scheduler, config.regularization
    if scheduler.warmup_epochs is not None:
        scheduler = replace(scheduler, warmup_epochs=scheduler.warmup_epochs * share)
    match scheduler:
        case StepConfig(step_epochs=step_epochs):
            scheduler = replace(scheduler, step_epochs=max(1, round(step_epochs * share)))
        case ExponentialConfig(gamma=gamma):
            scheduler = replace(scheduler, gamma=gamma ** (1 / share))
        case PlateauConfig(patience=patience):
            scheduler = replace(scheduler, patience=round(patience * share))
    half_life = regularization.ema_half_life_epochs
    if half_life is not None:
        regularization = replace(regularization, ema_half_life_epochs=half_life * share)
    train = replace(config.train, epochs=epochs)
    return replace(config, train=train, scheduler=scheduler, regularization=regularization)


def rung_dir(run_dir: Path, epochs: int) -> Path:
    return run_dir / f"{RUNG}{epochs}"
