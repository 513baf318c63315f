"""Whether a sweep goes on with what its folder holds, begins anew, or is refused."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

import optuna

from resnet_sweep.config.errors import UserError
from resnet_sweep.records.run_folder import RecordError
from resnet_sweep.records.sweep_folder import RUNS, SETTINGS, SWEEP_ID
from resnet_sweep.search.conf_files import CONF
from resnet_sweep.search.settings import (
    SweepSettings,
    allowed_changes,
    found_changes,
    read_settings,
)
from resnet_sweep.workers.storage import open_storage

STUDY_NAME = "hydra.sweeper.study_name"
_WAY_OUT = "put it back, or take another hydra.sweeper.study_name"


def continue_frozen(folder: Path, settings: SweepSettings) -> list[str]:
    """Compare a sweep with what its folder holds, if any; return what to say of it, a line each.

    What differs in a folder that has trained nothing is discarded: the sweep begins anew.

    Raises:
        UserError: it is another sweep, or what the folder holds is damaged.
    """
    if not (folder / SETTINGS).exists():
        return []
    old = read_settings(folder)
    changes = found_changes(old, settings)
    if changes and not has_trained(folder):
        _discard(folder, old)
        return [f"{'; '.join(changes)}: the sweep had trained nothing and begins anew"]
    if changes:
        raise UserError(
            f"{STUDY_NAME}={settings.study_name}: the sweep in {folder} differs: "
            f"{'; '.join(changes)}. Take another study_name, and "
            f"hydra.sweeper.extend_from={folder} to keep its trials"
        )
    return [f"{change}: the sweep goes on so" for change in allowed_changes(old, settings)]


def check_study(folder: Path, study: optuna.Study) -> None:
    """Refuse a folder or a study that has lost the other.

    Raises:
        UserError: trials without what they were drawn from, or trainings without their trials.
    """
    trials = len(study.get_trials(deepcopy=False))
    settings, runs = folder / SETTINGS, folder / RUNS
    if trials and not settings.exists():
        lost = f"is missing; nothing else tells what the study's {trials} trials were drawn from"
        raise RecordError(f"{settings}: {lost}; {_WAY_OUT}")
    if not trials and has_trained(folder):
        lost = "holds runs, but the study has no trial: its storage is lost"
        raise RecordError(f"{runs}: {lost}; {_WAY_OUT}")


def has_trained(folder: Path) -> bool:
    """Return whether any trial, ended or not, has left a run folder."""
    runs = folder / RUNS
    return runs.is_dir() and any(runs.iterdir())


def _discard(folder: Path, old: SweepSettings) -> None:
    """Remove the study and the frozen configuration of a sweep that has trained nothing.

    The settings go last: a kill before leaves what is discarded again.
    """
    storage = open_storage(old.storage, folder)
    with suppress(KeyError):  # none
        study = optuna.load_study(study_name=old.study_name, storage=storage)
        if study.user_attrs.get(SWEEP_ID) == (folder / SWEEP_ID).read_text():
            optuna.delete_study(study_name=old.study_name, storage=storage)
    shutil.rmtree(folder / CONF, ignore_errors=True)
    (folder / SETTINGS).unlink()
