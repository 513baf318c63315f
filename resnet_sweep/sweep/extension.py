"""The trials of an older sweep in a changed space, also under other objectives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from resnet_sweep.config import Config
from resnet_sweep.config.compose import from_dict
from resnet_sweep.config.data import ArraysConfig, DataConfig, ImageFolderConfig
from resnet_sweep.config.errors import ConfigError, UserError
from resnet_sweep.records.identity import signature, with_teacher_at
from resnet_sweep.records.run_folder import (
    RecordError,
    read_config_values,
    read_metrics,
    read_result,
)
from resnet_sweep.records.sweep_folder import RUNS
from resnet_sweep.search.composer import Composer
from resnet_sweep.search.proposals import base_config
from resnet_sweep.search.schema import epoch_value, objective_values
from resnet_sweep.search.settings import SweepSettings, read_settings
from resnet_sweep.search.space import SearchSpace
from resnet_sweep.search.space_parsing import to_text
from resnet_sweep.search.trial_attributes import ACCEPTED, EXTENDED_FROM, REPEAT_OF, TRIAL_OUTCOME
from resnet_sweep.sweep.first_trials import OutsideSpace, find_params, teachers
from resnet_sweep.workers.status import Say, say_some
from resnet_sweep.workers.storage import open_storage
from resnet_sweep.workers.study import state_of
from resnet_sweep.workers.trial import rung_dir

EXTEND_FROM = "hydra.sweeper.extend_from"


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
    """Return the trials of another sweep that lie in this space, with the values of its objectives.

    Raises:
        UserError: the folder holds no sweep, or none of its trials has recorded them.
    """
    old = old_settings(folder)
    storage = open_storage(old.storage, folder)
    trials = optuna.load_study(study_name=old.study_name, storage=storage).get_trials()
    left_out: list[str] = []
    data = base_config(space, composer).data
    known = _read_trials(folder, trials, teachers(space, composer), data, left_out)
    not_recorded: list[str] = []
    if (old.objectives, old.rungs) != (objectives, rungs):
        trained, known = known, []
        for trial, config in trained:
            try:
                run_dir = folder / RUNS / str(trial.number)
                known.append((reevaluate(trial, run_dir, objectives, rungs), config))
            except RecordError as error:
                not_recorded.append(f"trial {trial.number}: {error}")
    if not_recorded and not known:
        judged = f"{EXTEND_FROM}={folder} was judged by {to_text(old.objectives)}"
        allowed = f"{judged}; no trial of it can be judged so: {not_recorded[0]}"
        raise ConfigError("hydra.sweeper.objectives", to_text(objectives), allowed)
    moved, outside = extend_from(space, composer, known)
    return Extension(folder, moved, [*left_out, *not_recorded, *outside])


def extend_study(study: optuna.Study, extension: Extension, say: Say) -> None:
    """Add the trials of another sweep; they do not count to n_trials."""
    trials, left_out = extension.trials, extension.left_out
    for trial in trials:
        trial.set_user_attr(EXTENDED_FROM, str(extension.folder))
        study.add_trial(trial)
    counts = f"{len(trials)} trials taken over, {len(left_out)} left out"
    say(f"{EXTEND_FROM}={extension.folder}: {counts}")
    say_some(left_out, say)


def old_settings(folder: Path) -> SweepSettings:
    """Return the settings of the sweep that `extend_from` names.

    Raises:
        UserError: the folder holds no sweep.
    """
    try:
        return read_settings(folder)
    except RecordError as error:
        raise UserError(f"{EXTEND_FROM}={folder}: must be a sweep folder: {error}") from error


def _read_trials(
    folder: Path,
    trials: list[FrozenTrial],
    places: Sequence[str],
    data: DataConfig,
    left_out: list[str],
) -> list[tuple[FrozenTrial, Config]]:
    """Return the trained trials that read these data, with their configurations; note the others.

    Args:
        places: where their teachers may lie now.
        data: of the new sweep, wherever they lay before.
    """
    fingerprint = None
    if isinstance(data, (ImageFolderConfig, ArraysConfig)):  # those of the others never change
        from resnet_sweep.data.registry import load_dataset  # brings torch

        fingerprint = load_dataset(data).fingerprint
    known = []
    for trial in trials:
        state, run_dir = state_of(trial), folder / RUNS / str(trial.number)
        if state not in ("completed", "pruned"):
            continue
        if EXTENDED_FROM in trial.user_attrs:
            owner = trial.user_attrs[EXTENDED_FROM]
            left_out.append(f"trial {trial.number}: is a trial of {owner}; extend from there")
            continue
        try:
            values = read_config_values(run_dir)
            config = from_dict(with_teacher_at(values, places) or values)
        except UserError as error:
            reason = "was pruned at a rung" if state == "pruned" else str(error)
            left_out.append(f"trial {trial.number}: {reason}")
            continue
        try:
            before = read_result(run_dir).data_fingerprint
        except RecordError:
            before = None
        if fingerprint is None or before in (None, fingerprint):
            known.append((trial, config))
        else:
            change = f"data.root={data.root} has the fingerprint {fingerprint}, not {before}"
            left_out.append(f"trial {trial.number}: read other data: {change}")
    return known


def extend_from(
    space: SearchSpace, composer: Composer, trials: Iterable[tuple[FrozenTrial, Config]]
) -> tuple[list[FrozenTrial], list[str]]:
    """Map finished trials of an old study into a changed space.

    Args:
        trials: each with the configuration that it was trained with.

    Returns:
        trials for `study.add_trial`, and for each other one a line that says why it cannot be
        one: a value outside the space, or a setting that the new sweep fixes otherwise.
    """
    mapped, left_out = [], []
    for trial, config in trials:
        try:
            params, differences = find_params(space, composer, config)
        except OutsideSpace as error:
            left_out.append(f"trial {trial.number}: {error}")
            continue
        if differences:
            path, theirs, ours = differences[0]
            change = f"{path} was {to_text(theirs)} and is {to_text(ours)} now"
            left_out.append(f"trial {trial.number}: {change}")
        else:
            mapped.append(_moved(space, trial, params, signature(config)))
    return mapped, left_out


def _moved(
    space: SearchSpace, trial: FrozenTrial, params: dict[str, Any], signature: str
) -> FrozenTrial:
    distributions = {p.name: p.distribution for p in space.parameters if p.name in params}
    # It repeats a trial of the old study, whose number means another one here.
    kept = {name: value for name, value in trial.user_attrs.items() if name != REPEAT_OF}
    if ACCEPTED in kept:  # an older version may have spelled it otherwise
        kept[ACCEPTED] = {**kept[ACCEPTED], "signature": signature}
    return optuna.trial.create_trial(
        state=trial.state,
        values=trial.values,
        params=params,
        distributions=distributions,
        user_attrs=kept,
        system_attrs=trial.system_attrs,
        intermediate_values=trial.intermediate_values,
    )


def reevaluate(
    trial: FrozenTrial, run_dir: Path, objectives: list[str], rungs: list[int]
) -> FrozenTrial:
    """Return a completed or pruned trial with the values that these objectives give it.

    What a pruner noted of the old values is left behind.

    Args:
        rungs: of the new sweep; empty: its pruner compares after each epoch.

    Raises:
        RecordError: the run has not recorded them.
    """
    reported = dict(_reported(run_dir, objectives, rungs))
    values = None
    if trial.state == TrialState.COMPLETE:
        values = objective_values(read_result(run_dir), objectives)
    if values is None and (trial.state == TrialState.COMPLETE or not reported):
        raise RecordError(f"{run_dir}: has no record of {', '.join(objectives)}")
    attributes = trial.user_attrs
    if TRIAL_OUTCOME in attributes:
        outcome = {**attributes[TRIAL_OUTCOME], "values": values}
        attributes = attributes | {TRIAL_OUTCOME: outcome}
    return optuna.trial.create_trial(
        state=trial.state,
        values=values,
        params=trial.params,
        distributions=trial.distributions,
        user_attrs=attributes,
        intermediate_values=reported,
    )


def _reported(
    run_dir: Path, objectives: list[str], rungs: list[int]
) -> Iterator[tuple[int, float]]:
    """Yield what the training would have reported, as (epoch, value)."""
    if len(objectives) != 1:
        return
    for epochs in rungs:
        try:
            values = objective_values(read_result(rung_dir(run_dir, epochs)), objectives)
        except RecordError:
            continue  # the old sweep had no such rung
        if values is not None:
            yield epochs, values[0]
    for metrics in [] if rungs else read_metrics(run_dir):
        value = epoch_value(metrics, objectives)
        if value is not None:
            yield metrics.epoch, value
