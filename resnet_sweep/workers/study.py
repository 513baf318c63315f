"""The study of a sweep: whose it is, what it stores of a trial, what its trials have come to."""

from __future__ import annotations

import socket
import time
import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import optuna
from optuna.exceptions import DuplicatedStudyError
from optuna.trial import FrozenTrial, TrialState

from resnet_sweep.config.errors import ConfigError, UserError
from resnet_sweep.records.identity import is_current, signature
from resnet_sweep.records.run_folder import RecordError, read_config_values
from resnet_sweep.records.sweep_folder import RUNS, SWEEP_ID, TRAINED_STATES, SweepTrial
from resnet_sweep.search.schema import Direction
from resnet_sweep.search.trial_attributes import (
    ACCEPTED,
    EXTENDED_FROM,
    REJECTED,
    REPEAT_OF,
    TRIAL_OUTCOME,
    WORKER,
)
from resnet_sweep.system.atomic import write_text
from resnet_sweep.workers.storage import open_storage

OWNER = "sweep_folder"
PREPARED = "prepared"
OWNER_SECONDS = 5.0
_FOREIGN_ID = "is not the id of the study in journal.log beside it: one of them is another sweep's"
POLL_SECONDS = 0.1

_STATES = {
    TrialState.COMPLETE: "completed",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


def open_own_study(
    name: str, url: str | None, folder: Path, directions: list[Direction]
) -> optuna.Study:
    """Return the study of the sweep in a folder, created where there is none.

    Raises:
        UserError: it belongs to the sweep in another folder.
    """
    storage = open_storage(url, folder)
    try:
        study = optuna.create_study(study_name=name, storage=storage, directions=directions)
        _claim(study, folder)  # only one of several can have created it
    except DuplicatedStudyError:
        study = optuna.load_study(study_name=name, storage=storage)
        _await_owner(study, folder, 0.0 if url is None else OWNER_SECONDS)
    is_here = url is None or study.user_attrs[OWNER] == _place(folder)
    if is_here and _read_id(folder) is None:  # the file was lost
        write_text(folder / SWEEP_ID, study.user_attrs[SWEEP_ID])
    if study.user_attrs[SWEEP_ID] != _read_id(folder):
        if url is None:
            raise UserError(f"{folder / SWEEP_ID}: {_FOREIGN_ID}")
        raise UserError(
            f"hydra.sweeper.study_name={name}: the study belongs to the sweep in "
            f"{study.user_attrs[OWNER]}; go on there (hydra.sweeper.folder), or take another name"
        )
    if study.user_attrs[OWNER] != _place(folder):  # the folder was moved
        study.set_user_attr(OWNER, _place(folder))
    return study


def _claim(study: optuna.Study, folder: Path) -> None:
    own = _read_id(folder) or uuid.uuid4().hex
    write_text(folder / SWEEP_ID, own)
    study.set_user_attr(OWNER, _place(folder))
    study.set_user_attr(SWEEP_ID, own)


def _await_owner(study: optuna.Study, folder: Path, seconds: float) -> None:
    """Wait for the creator of a study to name itself; it was killed if it does not.

    Then whoever writes last has the study; all look only when the others must have written
    (Fischer's mutual exclusion). A journal, in its own locked folder, needs no wait.
    """
    until = time.monotonic() + seconds
    while SWEEP_ID not in study.user_attrs:
        if time.monotonic() >= until:
            _claim(study, folder)
            time.sleep(seconds)
            return
        time.sleep(POLL_SECONDS)


def _read_id(folder: Path) -> str | None:
    """Return the id of a folder, which stays the same wherever it is moved; None: it has none."""
    try:
        return (folder / SWEEP_ID).read_text() or None
    except FileNotFoundError:
        return None


def _place(folder: Path) -> str:
    return f"{folder.absolute()} on {socket.gethostname()}"


def prepare_study(study: optuna.Study, prepare: Callable[[optuna.Study], None]) -> optuna.Study:
    """Give a study what it knows at first, once and whole; return it, or one in its place.

    Args:
        prepare: adds trials; a study in which it was killed is replaced by a new one.
    """
    trials = study.get_trials(deepcopy=False)
    attributes = [trial.user_attrs for trial in trials]
    is_begun = any(WORKER in a and EXTENDED_FROM not in a for a in attributes)
    if is_begun or PREPARED in study.user_attrs:
        return study
    if trials:
        name, storage, directions = study.study_name, study._storage, study.directions
        known = study.user_attrs
        optuna.delete_study(study_name=name, storage=storage)
        try:
            study = optuna.create_study(study_name=name, storage=storage, directions=directions)
        except DuplicatedStudyError as error:
            taken = "another sweep has taken it this moment; take another name"
            raise ConfigError("hydra.sweeper.study_name", name, taken) from error
        for key, value in known.items():
            study.set_user_attr(key, value)
    prepare(study)
    study.set_user_attr(PREPARED, True)
    return study


@dataclass(frozen=True)
class Outcome:
    """What became of a training.

    Args:
        state: completed, pruned or failed.
        values: of the objectives, of a completed one.
        reason, error: as in records.sweep_folder.
        train_seconds: of all its trainings, those of its rungs included.
    """

    state: str
    values: Optional[list[float]] = None
    reason: Optional[str] = None
    error: Optional[str] = None
    epochs: Optional[int] = None
    train_seconds: Optional[float] = None


def state_of(trial: FrozenTrial) -> str:
    """Return one of the states of records.sweep_folder."""
    rejected = trial.user_attrs.get(REJECTED)
    if rejected is None:
        return _STATES[trial.state]
    return "duplicate" if rejected["reason"] == "duplicate" else "rejected"


class StudyProgress:
    """What the trials of a study come to.

    Args:
        folder: of the sweep; null: signatures count as they are stored.
        counts: finished trials by state.
        open: trials that run or wait, as of the last refresh.
        failures: of the failed trials by reason.
        rejections: of the rejected trials by reason.
        signatures: of what is or was trained -> trial number.
        train_seconds: of the trials trained here, by state.
        first: the first trial that was accepted for training here.
    """

    def __init__(self, study: optuna.Study, folder: Path | None = None) -> None:
        self.study = study
        self.folder = folder
        self.counts: Counter[str] = Counter()
        self.train_seconds: dict[str, list[float]] = {}
        self.open: list[FrozenTrial] = []
        self.signatures: dict[str, int] = {}
        self.failures: Counter[str] = Counter()
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
        """Share of the proposals that were over budget or could not be built."""
        rejected = self.counts["rejected"]
        return rejected / max(1, rejected + self.trained)

    def _note_signature(self, trial: FrozenTrial) -> None:
        accepted = trial.user_attrs.get(ACCEPTED)
        if accepted is None:
            return
        found = accepted["signature"]
        if self.folder is not None and not is_current(found):  # an older version gave it
            with suppress(RecordError):
                found = signature(read_config_values(self.folder / RUNS / str(trial.number)))
        self.signatures.setdefault(found, trial.number)
        if EXTENDED_FROM not in trial.user_attrs:
            self.first = trial.number if self.first is None else min(self.first, trial.number)

    def _count(self, trial: FrozenTrial) -> None:
        if EXTENDED_FROM in trial.user_attrs:
            return
        state = state_of(trial)
        self.counts[state] += 1
        outcome = trial.user_attrs.get(TRIAL_OUTCOME, {})
        if state == "failed":
            self.failures[outcome.get("reason") or "failed"] += 1
        seconds = outcome.get("train_seconds")
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
    outcome: dict[str, Any] = attributes.get(TRIAL_OUTCOME, {})
    counted = accepted or rejected
    is_here = accepted and not rejected and EXTENDED_FROM not in attributes
    return SweepTrial(
        number=trial.number,
        state=state_of(trial),
        reason=rejected.get("reason", outcome.get("reason")),
        error=rejected.get("error", outcome.get("error")),
        params=trial.params,
        values=trial.values if trial.state == TrialState.COMPLETE else None,
        intermediate_values=trial.intermediate_values,
        num_params=counted.get("num_params"),
        multiply_adds=counted.get("multiply_adds"),
        seed=accepted.get("seed"),
        worker=attributes.get(WORKER),
        started=trial.datetime_start.timestamp() if trial.datetime_start else None,
        ended=trial.datetime_complete.timestamp() if trial.datetime_complete else None,
        epochs=outcome.get("epochs"),
        train_seconds=outcome.get("train_seconds"),
        run_dir=f"{RUNS}/{trial.number}" if is_here else None,
        repeat_of=attributes.get(REPEAT_OF),
    )
