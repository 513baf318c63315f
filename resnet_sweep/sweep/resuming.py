"""Whether a sweep folder still holds what its sweep needs to go on, before anything is written."""

from __future__ import annotations

from pathlib import Path

import optuna

from resnet_sweep.errors import UserError
from resnet_sweep.records.run_folder import RecordError
from resnet_sweep.records.sweep_folder import RUNS
from resnet_sweep.sweep.renewal import discard, has_trained
from resnet_sweep.sweep.settings import (
    CONF,
    SETTINGS,
    SweepSettings,
    allowed_changes,
    found_changes,
    frozen_composer,
    read_settings,
    refuse_changes,
)
from resnet_sweep.sweep.space import SearchSpace
from resnet_sweep.sweep.space_check import check_space

_WAY_OUT = "put it back, or take another hydra.sweeper.study_name"


def continue_frozen(folder: Path, space: SearchSpace, settings: SweepSettings) -> list[str]:
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
        discard(folder, old)
        return [f"{'; '.join(changes)}: the sweep had trained nothing and begins anew"]
    if changes:
        refuse_changes(folder, settings, changes)
    try:
        check_space(space, frozen_composer(folder, space))
    except RecordError:
        raise
    except UserError as error:
        raise RecordError(f"{folder / CONF}: the sweep's frozen configuration: {error}") from error
    return [f"{change}: the sweep goes on so" for change in allowed_changes(old, settings)]


def check_study(folder: Path, study: optuna.Study) -> None:
    """Refuse a folder or a study that has lost the other.

    Raises:
        UserError: trials without what they were drawn from, or trainings without their trials.
    """
    trials = len(study.get_trials(deepcopy=False))
    settings, runs = folder / SETTINGS, folder / RUNS
    if trials and not settings.exists():
        lost = f"is missing, and alone tells what the study's {trials} trials were drawn from"
        raise RecordError(f"{settings}: {lost}; {_WAY_OUT}")
    if not trials and runs.is_dir() and any(runs.iterdir()):
        lost = "holds trainings, but the study no trial; its storage is lost"
        raise RecordError(f"{runs}: {lost}; {_WAY_OUT}")
