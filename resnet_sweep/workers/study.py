"""The study of a sweep: whose it is, and what it knows before its first draw."""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import optuna
from optuna.exceptions import DuplicatedStudyError

from resnet_sweep.config.errors import ConfigError, UserError
from resnet_sweep.search.schema import Direction
from resnet_sweep.system.atomic import write_text
from resnet_sweep.workers.ledger import EXTENDED_FROM, WORKER
from resnet_sweep.workers.storage import open_storage

SWEEP_ID = "sweep_id"  # in the study and, as a file, in the folder: they belong together
OWNER = "sweep_folder"
PREPARED = "prepared"
OWNER_SECONDS = 5.0
_FOREIGN_ID = "is not the id of the study in journal.log beside it: one of them is another sweep's"
POLL_SECONDS = 0.1


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
        study = _created_again(study)
    prepare(study)
    study.set_user_attr(PREPARED, True)
    return study


def _created_again(old: optuna.Study) -> optuna.Study:
    attributes = old.user_attrs
    optuna.delete_study(study_name=old.study_name, storage=old._storage)
    try:
        study = optuna.create_study(
            study_name=old.study_name, storage=old._storage, directions=old.directions
        )
    except DuplicatedStudyError as error:
        taken = "another sweep has taken it this moment; take another name"
        raise ConfigError("hydra.sweeper.study_name", old.study_name, taken) from error
    for name, value in attributes.items():
        study.set_user_attr(name, value)
    return study
