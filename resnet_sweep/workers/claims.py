"""Who trains what: claims, adoptions and acceptances, each under one lock.

The lock lies in the sweep folder, whatever the storage: two workers that both count n - 1
trials must not both start another. It is held for milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from resnet_sweep.search.proposals import Rejection
from resnet_sweep.search.samplers import is_exhausted
from resnet_sweep.search.trial_attributes import (
    ACCEPTED,
    EXTENDED_FROM,
    REJECTED,
    REPEAT_OF,
    SEED,
    TRIAL_OUTCOME,
    WORKER,
)
from resnet_sweep.system.locks import FileLock, held_if_free
from resnet_sweep.workers.coordination import worker_lock
from resnet_sweep.workers.study import Outcome, StudyProgress

CLAIMS = "claims.lock"
MOST_DUPLICATES = 1000  # that one worker draws after its last new proposal
TOLD_AS_CONSTRAINT = 10  # one in so many of a row


@contextmanager
def _unstopped() -> Iterator[None]:
    """Let pass that a sampler stops the study, which is Study.optimize's; the trial is told."""
    try:
        yield
    except RuntimeError as error:
        if "Study.stop" not in str(error):
            raise


class Claims:
    """One worker's access to the study.

    Args:
        duplicates: that this worker drew since its last new proposal.
    """

    def __init__(self, study: optuna.Study, folder: Path, n_trials: int, worker: int) -> None:
        self.study = study
        self.progress = StudyProgress(study, folder)
        self._folder = folder
        self._n_trials = n_trials
        self._worker = worker
        self._lock = FileLock(folder / CLAIMS)
        self.duplicates = 0
        self._is_new = True  # looks for what others left before it takes anything new

    def claim(self) -> Trial | None:
        """Return a trial to carry out: one that was broken off, one that waits, or a new one.

        None once n_trials are trained or in other workers' hands, or nothing new can be drawn.
        """
        with self._lock:
            self.progress.refresh()
            broken_off = self._find_own()
            if broken_off is None and self._is_new:
                broken_off = self._find_orphan()
            self._is_new = broken_off is not None
            if broken_off is not None:
                return self._take(broken_off)
            trial = None
            if self.progress.trained + len(self.progress.running) < self._n_trials:
                trial = self._next()
            orphan = None if trial else self._find_orphan()
            return trial if orphan is None else self._take(orphan)

    def accept(self, trial: Trial, accepted: dict[str, Any]) -> int | None:
        """Record that a trial is going to be trained, unless the same was trained already.

        Args:
            accepted: signature, seed, num_params, multiply_adds.

        Returns:
            the number of the trial that it repeats, or None.
        """
        with self._lock:
            self.progress.refresh()
            earlier = self.progress.signatures.get(accepted["signature"], trial.number)
            if earlier != trial.number:
                self.duplicates += 1
                return earlier
            self.duplicates = 0
            trial.set_user_attr(ACCEPTED, accepted)
            self.progress.refresh()
            return None

    def reject(self, trial: Trial, rejection: Rejection, nth: int) -> None:
        """Tell the study of a proposal that is not trained.

        Args:
            nth: 1 for the first rejection after a trial that was trained.
        """
        trial.set_user_attr(REJECTED, rejection.to_attribute())
        with _unstopped():
            tell_rejection(self.study, trial, rejection.excess, nth)

    def finish(self, trial: Trial, outcome: Outcome) -> None:
        """Tell the study what became of a training."""
        if TRIAL_OUTCOME not in trial.user_attrs:
            trial.set_user_attr(TRIAL_OUTCOME, asdict(outcome))
        states = {"completed": TrialState.COMPLETE, "pruned": TrialState.PRUNED}
        self.tell(trial, states.get(outcome.state, TrialState.FAIL), outcome.values)

    def finish_abandoned(self, number: int, outcome: Outcome) -> None:
        """End a trial of this worker, which has died, unless it is over or in other hands."""
        with self._lock:
            self.progress.refresh()
            own = self._find_own()
            if own is not None and own.number == number:
                self.finish(Trial(self.study, own._trial_id), outcome)

    def finish_interrupted_tell(self, trial: Trial) -> bool:
        """Tell what a killed worker had decided but not told; say whether there was anything."""
        attributes = trial.user_attrs
        if REJECTED in attributes:
            self.tell(trial, TrialState.FAIL)
        elif TRIAL_OUTCOME in attributes:
            self.finish(trial, Outcome(**attributes[TRIAL_OUTCOME]))
        else:
            return False
        return True

    def tell(self, trial: Trial, state: TrialState, values: list[float] | None = None) -> None:
        with _unstopped():
            self.study.tell(trial, values, state)

    def enqueue_repeats(self, trial: Trial, seeds: list[int]) -> None:
        """Let the first configuration be trained again with other seeds, once in a study."""
        if trial.number != self.progress.first:
            return
        with self._lock:
            trials = self.study.get_trials(deepcopy=False)
            attributes_of = [each.user_attrs for each in trials]
            planned = [a for a in attributes_of if REPEAT_OF in a and EXTENDED_FROM not in a]
            for seed in seeds[len(planned) :]:
                attributes = {REPEAT_OF: trial.number, SEED: seed}
                self.study.enqueue_trial(trial.params, user_attrs=attributes)

    def _next(self) -> Trial | None:
        storage = self.study._storage
        for waiting in self.progress.waiting:
            if storage.set_trial_state_values(waiting._trial_id, TrialState.RUNNING):
                return self._take(waiting)
        if self.duplicates >= MOST_DUPLICATES or is_exhausted(self.study):
            return None
        template = FrozenTrial(
            number=-1,  # the storage numbers it
            trial_id=-1,
            state=TrialState.RUNNING,
            value=None,
            datetime_start=datetime.now(UTC),
            datetime_complete=None,
            params={},
            distributions={},
            user_attrs={WORKER: self._worker},
            system_attrs={},
            intermediate_values={},
        )
        return Trial(self.study, storage.create_new_trial(self.study._study_id, template))

    def _take(self, frozen: FrozenTrial) -> Trial:
        if frozen.user_attrs.get(WORKER) != self._worker:
            self.study._storage.set_trial_user_attr(frozen._trial_id, WORKER, self._worker)
        return Trial(self.study, frozen._trial_id)

    def _find_own(self) -> FrozenTrial | None:
        running = self.progress.running
        return next((t for t in running if t.user_attrs.get(WORKER) == self._worker), None)

    def _find_orphan(self) -> FrozenTrial | None:
        """Return a running trial whose worker is gone: the kernel has freed its lock."""
        for trial in self.progress.running:
            worker = trial.user_attrs.get(WORKER)
            if worker is None:
                return trial  # killed between two writes
            with held_if_free(worker_lock(self._folder, worker)) as gone:
                if gone:
                    return trial
        return None


def tell_rejection(
    study: optuna.Study, trial: Trial, excess: float | None, nth_in_a_row: int
) -> None:
    """End a trial that is not worth training.

    By default as FAIL, from which samplers learn nothing: a rejection costs milliseconds, and good
    nets sit at the edge of the budget, where a sampler that shies away would miss them. In a long
    row, where whole regions do not fit, one in ten is told as a broken constraint, which TPE reads.
    benchmarks/rejection_telling.py compares the ways.

    Every parameter must have been suggested: a pruned trial without some of them would shrink
    the space in which TPE models all parameters together.

    Args:
        excess: how far it is over its limit, as a fraction of it; None: the net cannot be built.
        nth_in_a_row: 1 for the first rejection after a trial that was trained.
    """
    if excess is None or nth_in_a_row % TOLD_AS_CONSTRAINT:
        study.tell(trial, state=TrialState.FAIL)
        return
    trial.set_constraint("budget", excess)
    study.tell(trial, state=TrialState.PRUNED)
