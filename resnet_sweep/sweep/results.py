"""What a sweep leaves at its end: optimization_results.yaml and how to train the best again."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import optuna
from omegaconf import OmegaConf
from optuna.trial import FrozenTrial, TrialState

from resnet_sweep.config.compose import key_of
from resnet_sweep.config.errors import UserError
from resnet_sweep.records.sweep_folder import RUNS
from resnet_sweep.search.composer import Composer
from resnet_sweep.search.space import SearchSpace
from resnet_sweep.search.trial_attributes import ACCEPTED, EXTENDED_FROM
from resnet_sweep.system.atomic import write_text

# Fields that a sweep switches off for its trials and a single run wants.
QUIET = ("evaluate_test", "train.figures", "train.tensorboard", "train.progress")
NO_TRACKER = "tracker=none"  # likewise; another one was asked for
RESULTS = "optimization_results.yaml"


def best_trials(study: optuna.Study) -> list[FrozenTrial]:
    """Return the best trial, or the Pareto set of several objectives; empty: none completed."""
    if not study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        return []
    return [study.best_trial] if len(study.directions) == 1 else study.best_trials


def write_results(folder: Path, study: optuna.Study, best: list[FrozenTrial]) -> None:
    """Write the best parameters in the form of the packaged sweeper."""
    content: dict[str, Any]
    if len(study.directions) == 1:
        content = {"name": "optuna", "best_params": best[0].params, "best_value": best[0].value}
    else:
        solutions = [{"params": trial.params, "values": trial.values} for trial in best]
        content = {"name": "optuna", "solutions": solutions}
    write_text(folder / RESULTS, OmegaConf.to_yaml(OmegaConf.create(content)))


def describe_best(
    folder: Path, best: Iterable[FrozenTrial], objectives: list[str], retrain: list[str]
) -> str:
    """Return a line for each of the best trials, with the command that trains it again."""
    lines = []
    for trial, again in zip(best, retrain, strict=True):
        pairs = zip(objectives, trial.values or [], strict=True)
        values = ", ".join(f"{name} {value:.6g}" for name, value in pairs)
        where = trial.user_attrs.get(EXTENDED_FROM, folder / RUNS / str(trial.number))
        lines += [f"best: trial {trial.number} in {where}: {values}"]
        lines += [f"  again: {again}"]
    return "\n".join(lines)


def retrain_command(trial: FrozenTrial, space: SearchSpace, composer: Composer) -> str:
    """Return the single run that repeats a trial and reads the test set."""
    try:
        overrides = composer.overrides(space.assignments(trial.params))
    except UserError:  # custom_search_space has drawn what the space does not know
        return f"see {RUNS}/{trial.number}/config.json"
    last = {key_of(override): override for override in overrides}
    if ACCEPTED in trial.user_attrs:  # a repeat has a seed of its own
        last["seed"] = f"seed={trial.user_attrs[ACCEPTED]['seed']}"
    kept = [o for key, o in last.items() if key not in QUIET and o != NO_TRACKER]
    return composer.files.run_command(*kept)
