"""Beginning anew in the folder of a sweep that has trained nothing: only its settings are lost."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

import optuna

from resnet_sweep.records.sweep_folder import RUNS
from resnet_sweep.sweep.settings import CONF, SETTINGS, SweepSettings
from resnet_sweep.sweep.storage import open_storage
from resnet_sweep.sweep.study import SWEEP_ID


def has_trained(folder: Path) -> bool:
    """Return whether any trial, ended or not, has left a run folder."""
    runs = folder / RUNS
    return runs.is_dir() and any(runs.iterdir())


def discard(folder: Path, old: SweepSettings) -> None:
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
