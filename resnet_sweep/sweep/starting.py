"""What a new study knows before its first draw: known experiments and older sweeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial

from resnet_sweep.config import Config
from resnet_sweep.errors import UserError
from resnet_sweep.records.run_folder import RecordError, read_config
from resnet_sweep.records.sweep_folder import RUNS
from resnet_sweep.sweep.composer import Composer
from resnet_sweep.sweep.ledger import EXTENDED_FROM, state_of
from resnet_sweep.sweep.locate import OutsideSpace
from resnet_sweep.sweep.settings import SweepSettings, read_settings
from resnet_sweep.sweep.space import SearchSpace
from resnet_sweep.sweep.start import Start, extend_from, start_from
from resnet_sweep.sweep.storage import open_storage

# Tried where nothing is named; what lies outside the space is left out.
DEFAULT_SOURCES = ("source",)
SHOWN = 3
EXTEND_FROM = "hydra.sweeper.extend_from"

Say = Callable[[str], None]


def find_starts(
    space: SearchSpace, composer: Composer, sources: list[str] | None, say: Say
) -> list[Start]:
    """Return the known experiments that a sweep begins with.

    Raises:
        UserError: one that was named is unknown or lies outside the space.
    """
    if sources is not None:
        return start_from(space, composer, sources)
    starts = []
    for source in DEFAULT_SOURCES:
        try:
            starts += start_from(space, composer, [source])
        except OutsideSpace as error:
            say(f"not a first trial: {error}")
    return starts


def enqueue_starts(study: optuna.Study, starts: list[Start], say: Say) -> None:
    for start in starts:
        study.enqueue_trial(start.params)
        say(f"a first trial: {start.source}")
        _say_some(start.notes, say)


def extend_study(
    study: optuna.Study, space: SearchSpace, composer: Composer, folder: Path, say: Say
) -> None:
    """Add the trials of another sweep that lie in this space; they do not count to n_trials.

    Raises:
        UserError: the folder holds no sweep.
    """
    old = old_settings(folder)
    storage = open_storage(old.storage, folder)
    trials = optuna.load_study(study_name=old.study_name, storage=storage).get_trials()
    without_config: list[str] = []
    with_configs = _with_configs(folder, trials, without_config)
    added, left_out = extend_from(space, composer, with_configs)
    left_out += without_config
    for trial in added:
        trial.set_user_attr(EXTENDED_FROM, str(folder))
        study.add_trial(trial)
    say(f"{EXTEND_FROM}={folder}: {len(added)} trials taken over, {len(left_out)} left out")
    _say_some(left_out, say)


def _say_some(lines: list[str], say: Say) -> None:
    for line in lines[:SHOWN]:
        say(f"  {line}")
    if len(lines) > SHOWN:
        say(f"  and {len(lines) - SHOWN} more")


def old_settings(folder: Path) -> SweepSettings:
    """Return the settings of the sweep that `extend_from` names.

    Raises:
        UserError: the folder holds no sweep.
    """
    try:
        return read_settings(folder)
    except RecordError as error:
        raise UserError(f"{EXTEND_FROM}={folder}: must be a sweep folder: {error}") from error


def _with_configs(
    folder: Path, trials: list[FrozenTrial], left_out: list[str]
) -> Iterator[tuple[FrozenTrial, Config]]:
    """Yield the trained trials that have a configuration, and note the others with the reason."""
    for trial in trials:
        if state_of(trial) not in ("completed", "pruned"):
            continue
        if EXTENDED_FROM in trial.user_attrs:
            owner = trial.user_attrs[EXTENDED_FROM]
            left_out.append(f"trial {trial.number}: is a trial of {owner}; extend from there")
            continue
        try:
            yield trial, read_config(folder / RUNS / str(trial.number))
        except RecordError as error:
            rung = "was pruned at a rung" if state_of(trial) == "pruned" else str(error)
            left_out.append(f"trial {trial.number}: {rung}")
