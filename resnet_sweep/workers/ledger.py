"""A running account of the study's trials that reads each finished one once."""

from __future__ import annotations

from collections import Counter
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from resnet_sweep.records.sweep_folder import RUNS, TRAINED_STATES, SweepTrial

# User attributes of a trial; each is written at once, so that a kill leaves it whole.
WORKER = "worker"  # index of the worker that has it
ACCEPTED = "accepted"  # what was judged to be trainable: signature, seed, counts
REJECTED = "rejected"  # why it was turned away
PRUNED_AFTER = "pruned_after"  # the epoch at which the pruner decided against it
OUTCOME = "outcome"  # what became of its training
REPEAT_OF = "repeat_of"  # the trial whose configuration it repeats
SEED = "seed"  # of a repeat
PLANNED = "planned"  # its whole configuration, where nothing is drawn
EXTENDED_FROM = "extended_from"  # the sweep that it was taken over from

_STATES = {
    TrialState.COMPLETE: "completed",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


def state_of(trial: FrozenTrial) -> str:
    """Return one of the states of records.sweep_folder."""
    rejected = trial.user_attrs.get(REJECTED)
    if rejected is None:
        return _STATES[trial.state]
    return "duplicate" if rejected["reason"] == "duplicate" else "rejected"


class Ledger:
    """What the trials of a study come to.

    Args:
        counts: finished trials by state.
        open: trials that run or wait, as of the last refresh.
        rejections: of the rejected trials by reason.
        signatures: of what is or was trained -> trial number.
        train_seconds: of the trials trained here, by state.
        first: the first trial that was accepted for training here.
    """

    def __init__(self, study: optuna.Study) -> None:
        self.study = study
        self.counts: Counter[str] = Counter()
        self.train_seconds: dict[str, list[float]] = {}
        self.open: list[FrozenTrial] = []
        self.signatures: dict[str, int] = {}
        self.rejections: Counter[str] = Counter()
        self.smallest_rejected: int | None = None
        self.first: int | None = None
        self.num_trials = 0

    def refresh(self) -> list[FrozenTrial]:
        """Read what has changed and return the trials that have finished since."""
        # deepcopy=False: the storage replaces a trial that changes, it does not alter it.
        trials = self.study._storage.get_all_trials(self.study._study_id, deepcopy=False)
        numbers = [trial.number for trial in self.open]
        changed = [trials[n] for n in (*numbers, *range(self.num_trials, len(trials)))]
        self.num_trials = len(trials)
        finished = [trial for trial in changed if trial.state.is_finished()]
        self.open = [trial for trial in changed if not trial.state.is_finished()]
        for trial in changed:
            self._note_signature(trial)
        for trial in finished:
            self._count(trial)
        return finished

    @property
    def trained(self) -> int:
        return sum(self.counts[state] for state in TRAINED_STATES)

    @property
    def running(self) -> list[FrozenTrial]:
        return [trial for trial in self.open if trial.state == TrialState.RUNNING]

    @property
    def waiting(self) -> list[FrozenTrial]:
        return [trial for trial in self.open if trial.state == TrialState.WAITING]

    @property
    def rejection_rate(self) -> float:
        """Share of the judged proposals that were over budget or could not be built."""
        rejected = self.counts["rejected"]
        return rejected / max(1, rejected + self.trained)

    def _note_signature(self, trial: FrozenTrial) -> None:
        accepted = trial.user_attrs.get(ACCEPTED)
        if accepted is None:
            return
        self.signatures.setdefault(accepted["signature"], trial.number)
        if EXTENDED_FROM not in trial.user_attrs:
            self.first = trial.number if self.first is None else min(self.first, trial.number)

    def _count(self, trial: FrozenTrial) -> None:
        if EXTENDED_FROM in trial.user_attrs:
            return
        state = state_of(trial)
        self.counts[state] += 1
        seconds = trial.user_attrs.get(OUTCOME, {}).get("train_seconds")
        if seconds:
            self.train_seconds.setdefault(state, []).append(seconds)
        if state == "rejected":
            self.rejections[trial.user_attrs[REJECTED]["reason"]] += 1
        num_params = trial.user_attrs.get(REJECTED, {}).get("num_params")
        if num_params is not None:
            smallest = self.smallest_rejected
            self.smallest_rejected = min(num_params, smallest or num_params)


def to_record(trial: FrozenTrial) -> SweepTrial:
    """Return what trials.jsonl keeps of a trial."""
    attributes = trial.user_attrs
    accepted: dict[str, Any] = attributes.get(ACCEPTED, {})
    rejected: dict[str, Any] = attributes.get(REJECTED, {})
    outcome: dict[str, Any] = attributes.get(OUTCOME, {})
    judged = accepted or rejected
    is_here = accepted and not rejected and EXTENDED_FROM not in attributes
    return SweepTrial(
        number=trial.number,
        state=state_of(trial),
        reason=rejected.get("reason", outcome.get("reason")),
        error=rejected.get("error", outcome.get("error")),
        params=trial.params,
        values=trial.values if trial.state == TrialState.COMPLETE else None,
        intermediate_values=trial.intermediate_values,
        num_params=judged.get("num_params"),
        multiply_adds=judged.get("multiply_adds"),
        seed=accepted.get("seed"),
        worker=attributes.get(WORKER),
        started=trial.datetime_start.timestamp() if trial.datetime_start else None,
        ended=trial.datetime_complete.timestamp() if trial.datetime_complete else None,
        epochs=outcome.get("epochs"),
        train_seconds=outcome.get("train_seconds"),
        run_dir=f"{RUNS}/{trial.number}" if is_here else None,
        repeat_of=attributes.get(REPEAT_OF),
    )
