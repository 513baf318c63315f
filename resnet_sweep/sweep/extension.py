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
from resnet_sweep.config.data import ArraysConfig, ImageFolderConfig
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
    base = base_config(space, composer)
    configs = _with_configs(folder, trials, teachers(space, composer), left_out)
    known = _on_same_data(folder, configs, base, left_out)
    not_recorded: list[str] = []
    if (old.objectives, old.rungs) != (objectives, rungs):
        known, not_recorded = _reevaluated(folder, known, objectives, rungs)
    if not_recorded and not known:
        asked, before = to_text(objectives), to_text(old.objectives)
        allowed = f"{EXTEND_FROM}={folder} was judged by {before}; no trial of it can be judged so"
        raise ConfigError("hydra.sweeper.objectives", asked, f"{allowed}: {not_recorded[0]}")
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


def _reevaluated(
    folder: Path,
    trials: list[tuple[FrozenTrial, Config]],
    objectives: list[str],
    rungs: list[int],
) -> tuple[list[tuple[FrozenTrial, Config]], list[str]]:
    kept, left_out = [], []
    for trial, config in trials:
        try:
            run_dir = folder / RUNS / str(trial.number)
            kept.append((reevaluate(trial, run_dir, objectives, rungs), config))
        except RecordError as error:
            left_out.append(f"trial {trial.number}: {error}")
    return kept, left_out


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
    folder: Path, trials: list[FrozenTrial], places: Sequence[str], left_out: list[str]
) -> Iterator[tuple[FrozenTrial, Config]]:
    """Yield the trained trials that have a configuration, and note the others with the reason.

    Args:
        places: where their teachers may lie now.
    """
    for trial in trials:
        if state_of(trial) not in ("completed", "pruned"):
            continue
        if EXTENDED_FROM in trial.user_attrs:
            owner = trial.user_attrs[EXTENDED_FROM]
            left_out.append(f"trial {trial.number}: is a trial of {owner}; extend from there")
            continue
        try:
            values = read_config_values(folder / RUNS / str(trial.number))
            config = from_dict(with_teacher_at(values, places) or values)
        except UserError as error:
            rung = "was pruned at a rung" if state_of(trial) == "pruned" else str(error)
            left_out.append(f"trial {trial.number}: {rung}")
            continue
        yield trial, config


def _on_same_data(
    folder: Path,
    trials: Iterable[tuple[FrozenTrial, Config]],
    base: Config,
    left_out: list[str],
) -> list[tuple[FrozenTrial, Config]]:
    """Return the trials that read the data of this sweep, wherever they lay; note the others."""
    data = base.data
    fingerprint = None
    if isinstance(data, (ImageFolderConfig, ArraysConfig)):  # those of the others never change
        from resnet_sweep.data.registry import load_dataset  # brings torch

        fingerprint = load_dataset(data).fingerprint
    kept = []
    for trial, config in trials:
        try:
            before = read_result(folder / RUNS / str(trial.number)).data_fingerprint
        except RecordError:
            before = None
        if fingerprint is None or before in (None, fingerprint):
            kept.append((trial, config))
        else:
            change = f"data.root={data.root} has the fingerprint {fingerprint}, not {before}"
            left_out.append(f"trial {trial.number}: read other data: {change}")
    return kept


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
            found = find_params(space, composer, config)
        except OutsideSpace as error:
            left_out.append(f"trial {trial.number}: {error}")
            continue
        if found.differences:
            path, theirs, ours = found.differences[0]
            change = f"{path} was {to_text(theirs)} and is {to_text(ours)} now"
            left_out.append(f"trial {trial.number}: {change}")
        else:
            mapped.append(_moved(space, trial, found.params, signature(config)))
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
    return optuna.trial.create_trial(
        state=trial.state,
        values=values,
        params=trial.params,
        distributions=trial.distributions,
        user_attrs=_with_values(trial.user_attrs, values),
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


def _with_values(attributes: dict[str, Any], values: list[float] | None) -> dict[str, Any]:
    if TRIAL_OUTCOME not in attributes:
        return attributes
    return attributes | {TRIAL_OUTCOME: {**attributes[TRIAL_OUTCOME], "values": values}}
