"""What a new study knows before its first draw: known experiments and older sweeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial

from resnet_sweep.config import Config
from resnet_sweep.errors import ConfigError, UserError
from resnet_sweep.records.run_folder import RecordError, read_config
from resnet_sweep.records.sweep_folder import RUNS
from resnet_sweep.sweep.composer import Composer
from resnet_sweep.sweep.ledger import EXTENDED_FROM, state_of
from resnet_sweep.sweep.locate import OutsideSpace
from resnet_sweep.sweep.rejudging import judged_anew
from resnet_sweep.sweep.settings import SweepSettings, read_settings
from resnet_sweep.sweep.space import SearchSpace
from resnet_sweep.sweep.space_parsing import to_text
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


@dataclass(frozen=True)
class Extension:
    """What a new study takes over from the sweep in a folder.

    Args:
        left_out: for each other trial a line that says why.
    """

    folder: Path
    trials: list[FrozenTrial]
    left_out: list[str]


def find_extension(
    space: SearchSpace, composer: Composer, folder: Path, objectives: list[str], rungs: list[int]
) -> Extension:
    """Return the trials of another sweep that lie in this space, judged by its objectives.

    Raises:
        UserError: the folder holds no sweep, or none of its trials can be judged so.
    """
    old = old_settings(folder)
    storage = open_storage(old.storage, folder)
    trials = optuna.load_study(study_name=old.study_name, storage=storage).get_trials()
    left_out: list[str] = []
    known = list(_with_configs(folder, trials, left_out))
    unjudged: list[str] = []
    if (old.objectives, old.rungs) != (objectives, rungs):
        known, unjudged = _judged_anew(folder, known, objectives, rungs)
    if unjudged and not known:
        asked, before = to_text(objectives), to_text(old.objectives)
        allowed = f"{EXTEND_FROM}={folder} was judged by {before}, and no trial can be by this"
        raise ConfigError("hydra.sweeper.objectives", asked, f"{allowed}: {unjudged[0]}")
    moved, outside = extend_from(space, composer, known)
    return Extension(folder, moved, [*left_out, *unjudged, *outside])


def extend_study(study: optuna.Study, extension: Extension, say: Say) -> None:
    """Add the trials of another sweep; they do not count to n_trials."""
    trials, left_out = extension.trials, extension.left_out
    for trial in trials:
        trial.set_user_attr(EXTENDED_FROM, str(extension.folder))
        study.add_trial(trial)
    counts = f"{len(trials)} trials taken over, {len(left_out)} left out"
    say(f"{EXTEND_FROM}={extension.folder}: {counts}")
    _say_some(left_out, say)


def _judged_anew(
    folder: Path,
    trials: list[tuple[FrozenTrial, Config]],
    objectives: list[str],
    rungs: list[int],
) -> tuple[list[tuple[FrozenTrial, Config]], list[str]]:
    judged, left_out = [], []
    for trial, config in trials:
        try:
            run_dir = folder / RUNS / str(trial.number)
            judged.append((judged_anew(trial, run_dir, objectives, rungs), config))
        except RecordError as error:
            left_out.append(f"trial {trial.number}: {error}")
    return judged, left_out


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
