"""Keeps the workers of a sweep going and tells what happens, until all trials are trained."""

from __future__ import annotations

import math
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial

from resnet_sweep.config.errors import UserError
from resnet_sweep.records.sweep_folder import append_sweep_trials, write_sweep_trials
from resnet_sweep.search.trial_attributes import WORKER
from resnet_sweep.system.console import say
from resnet_sweep.system.stopping import interrupted_status
from resnet_sweep.workers.claims import Claims
from resnet_sweep.workers.coordination import (
    WorkerExit,
    exit_if_unwritable,
    request_stop,
    take_exit,
    withdraw_stop,
)
from resnet_sweep.workers.launchers import Launcher, RunningWorker
from resnet_sweep.workers.status import Status
from resnet_sweep.workers.study import Outcome, StudyProgress, to_record

POLL_SECONDS = 0.2
STOP_SECONDS = 120.0
EXHAUSTED = "the search space is exhausted: no proposal is new"
MAX_DEATHS = 3  # of workers over one trial, or of one worker without any trial between
MAX_STOPS = 20  # of one worker by others, as by a queue that takes its place, likewise
SOON_SECONDS = 60.0  # a worker that was stopped later has trained: a long trial takes many jobs


class TooManyFailures(Exception):
    """The share of failed trials is larger than hydra.sweeper.max_failure_rate."""


@dataclass
class Slot:
    """One worker's place: a worker that takes another's place has the same index.

    Args:
        deaths, stops: in a row, without a trial that any worker finished between them.
    """

    worker: RunningWorker
    deaths: int = 0
    stops: int = 0
    trained_at_death: int = -1


@dataclass
class Supervisor:
    """Runs a sweep.

    Args:
        max_failures: more failed trials than this end the sweep.
        deadline: that ends it, on the clock of time.monotonic; null: none.
        keeps_record: of its trials beside the study; not where something else tells of fixed runs.
        timed_out: whether the deadline has ended it.
    """

    folder: Path
    study: optuna.Study
    launcher: Launcher
    status: Status
    n_trials: int
    max_failures: float = math.inf
    deadline: float | None = None
    keeps_record: bool = True
    timed_out: bool = False
    _slots: dict[int, Slot] = field(default_factory=dict)
    _deaths: Counter[int] = field(default_factory=Counter)  # by trial
    _unrecorded: list[FrozenTrial] = field(default_factory=list)
    _fatal: WorkerExit | None = None
    _early_end: str = EXHAUSTED
    _stopping: bool = False

    def __post_init__(self) -> None:
        self.progress = StudyProgress(self.study)

    def run(self, n_jobs: int) -> None:
        """Return when nothing is left to train, or the time is over.

        Raises:
            UserError: no worker can go on.
            TooManyFailures, KeyboardInterrupt: as it says; the workers have stopped.
        """
        withdraw_stop(self.folder)
        if self.keeps_record:
            write_sweep_trials(self.folder, map(to_record, self.study.get_trials(deepcopy=False)))
        try:
            with self.status:
                self._observe(is_recorded=True)
                for index in range(min(n_jobs, self.n_trials - self.progress.trained)):
                    take_exit(self.folder, index)
                    self._slots[index] = Slot(self.launcher.start(index))
                self._supervise()
        finally:
            self._end_workers()
            finished = self.progress.refresh()
            self._record(finished)
            self.status.end(self.progress, finished)
            self._limit_failures()
        if self._fatal is not None:
            raise UserError(self._fatal.message)
        if self.progress.trained < self.n_trials and not self.timed_out:
            self.status.say(self._early_end)

    def _supervise(self) -> None:
        """Look after the workers until nothing is left to train, whoever still waits in a queue."""
        while self._slots and self.progress.trained < self.n_trials:
            time.sleep(POLL_SECONDS)
            self._observe()
            for index in list(self._slots):
                if not self._slots[index].worker.is_running():
                    self._look_after(index)
            is_over = self.deadline is not None and time.monotonic() > self.deadline
            if is_over and not self._stopping:
                self.timed_out = True
                self.stop()

    def stop(self) -> None:
        """Ask all workers to write a checkpoint and end."""
        self._stopping = True
        request_stop(self.folder)
        for slot in self._slots.values():
            slot.worker.stop()

    def _observe(self, is_recorded: bool = False) -> None:
        finished = self.progress.refresh()
        if not is_recorded:
            self._record(finished)
        self.status.update(self.progress, finished)
        self._limit_failures()

    def _limit_failures(self) -> None:
        failed = self.progress.counts["failed"]
        if failed > self.max_failures and not self._stopping:
            raise TooManyFailures(f"{failed} of {self.n_trials} trials have failed")

    def _record(self, finished: list[FrozenTrial]) -> None:
        """Add to trials.jsonl, later where the disk is full: the study has it all."""
        self._unrecorded += finished
        if not self._unrecorded or not self.keeps_record:
            return
        try:
            append_sweep_trials(self.folder, map(to_record, self._unrecorded))
        except OSError as error:
            self.status.say(f"{self.folder}: trials.jsonl cannot be written: {error}")
            return
        self._unrecorded = []

    def _look_after(self, index: int) -> None:
        """Replace a worker that has ended where there is still something to do."""
        left = take_exit(self.folder, index) or exit_if_unwritable(self.folder)
        if left is not None and left.kind in ("user_error", "broken_folder"):
            self._fatal = self._fatal or left
            self.stop()
        if left is not None and left.kind == "done":
            self._early_end = left.message or self._early_end
            del self._slots[index]
            return
        if self._stopping:
            del self._slots[index]
            return
        slot = self._slots[index]
        if left is None:
            self._note_death(index, slot)
        else:
            self._note_stop(index, slot, left.seconds)
        if index in self._slots:
            slot.worker = self.launcher.start(index)

    def _note_death(self, index: int, slot: Slot) -> None:
        words = slot.worker.last_words()
        self._observe()
        self._charge_trial(index, words)
        self._observe()
        self._begin_row(slot)
        slot.deaths += 1
        if slot.deaths >= MAX_DEATHS:
            self._give_up(index, f"worker {index} has died {slot.deaths} times in a row ({words})")
            return
        self.status.say(f"worker {index} has died ({words}); another one goes on with its trial")

    def _note_stop(self, index: int, slot: Slot, seconds: float) -> None:
        """Bound how often a worker is started again that somebody else stops soon."""
        self._begin_row(slot)
        if seconds >= SOON_SECONDS:
            slot.stops = 0
            return
        slot.stops += 1
        if slot.stops >= MAX_STOPS:
            self._give_up(index, f"worker {index} was stopped {slot.stops} times in a row")

    def _begin_row(self, slot: Slot) -> None:
        """Count anew where a trial was finished since."""
        if slot.trained_at_death != self.progress.trained:
            slot.deaths = slot.stops = 0
            slot.trained_at_death = self.progress.trained

    def _give_up(self, index: int, text: str) -> None:
        self._fatal = WorkerExit("user_error", text)
        self.stop()
        del self._slots[index]

    def _charge_trial(self, index: int, words: str) -> None:
        """Give a trial up over which too many workers have died."""
        for trial in self.progress.running:
            if trial.user_attrs.get(WORKER) != index:
                continue
            self._deaths[trial.number] += 1
            if self._deaths[trial.number] >= MAX_DEATHS:
                claims = Claims(self.study, self.folder, self.n_trials, index)
                outcome = Outcome("failed", reason="killed", error=f"its worker died: {words}")
                claims.finish_abandoned(trial.number, outcome)

    def _end_workers(self) -> None:
        """Wait for the workers to stop, then end those that do not, or have not begun."""
        if not self._slots:
            return
        self.stop()
        workers = [slot.worker for slot in self._slots.values()]
        until = time.monotonic() + STOP_SECONDS
        try:
            while time.monotonic() < until:
                if not any(worker.has_begun() and worker.is_running() for worker in workers):
                    break
                time.sleep(POLL_SECONDS)
        finally:
            for worker in workers:
                worker.kill()


def supervise(supervisor: Supervisor, n_jobs: int, go_on: str) -> None:
    """Run the workers; an interruption, as which SIGTERM comes as well, ends the program.

    Args:
        go_on: the command that continues.
    """
    try:
        supervisor.run(n_jobs)
    except KeyboardInterrupt as interrupt:
        say(f"interrupted; go on with: {go_on}")
        sys.exit(interrupted_status(interrupt))


def exit_if_none_completed(progress: StudyProgress, what: str) -> None:
    """End the program with status 1, and the counts, where no trial of a study has completed.

    Args:
        what: is trained, in the plural.

    Raises:
        SystemExit: none has.
    """
    progress.refresh()
    if progress.counts["completed"]:
        return
    parts = [f"{count} {reason}" for reason, count in progress.failures.most_common()]
    parts += [f"{progress.counts['pruned']} pruned"] if progress.counts["pruned"] else []
    ended = f"{progress.trained} ended ({', '.join(parts)})" if parts else "none has ended"
    say(f"error: no {what} have completed: {ended}", sys.stderr)
    sys.exit(1)
