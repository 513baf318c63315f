"""Optuna's samplers and pruners from their configuration groups."""

from __future__ import annotations

import copy
import functools
import importlib
import re
import warnings
from typing import Any

import numpy as np
import optuna
from hydra.errors import HydraException
from hydra.utils import instantiate
from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    NopPruner,
    PatientPruner,
    SuccessiveHalvingPruner,
)
from optuna.samplers import BaseSampler, CmaEsSampler, GridSampler
from optuna.trial import FrozenTrial

from resnet_sweep.config.errors import ConfigError, require, require_int, why
from resnet_sweep.search.schema import (
    PRUNERS,
    AshaConfig,
    HyperbandConfig,
    MedianConfig,
    PatientConfig,
    PrunerConfig,
)
from resnet_sweep.search.space import SearchSpace, describe_distribution, every_value

SAMPLER = "hydra.sweeper.sampler"
# The least that Optuna works with; it does not check this itself.
_LEAST = {"seed": 0, "n_startup_trials": 0, "n_ei_candidates": 1}
_MOST_SEED = 2**32 - 1
_WHITELIST = ("hydra_plugins.hydra_optuna_sweeper.*", "optuna.samplers.*")


def build_sampler(
    node: dict[str, Any], space: SearchSpace, worker: int, trials: int
) -> BaseSampler:
    """Return the sampler of one worker.

    Args:
        node: hydra.sweeper.sampler; its seed is mixed with the next two, so that no worker
            repeats another's draws and none those from before a restart.
        trials: in the study when the worker starts.

    Raises:
        ConfigError: it lacks a package, or a value is wrong.
    """
    node = dict(node)
    _check_numbers(node)
    if node.get("seed") is not None and (worker or trials):
        mixed = np.random.SeedSequence([node["seed"], worker, trials])
        node["seed"] = int(mixed.generate_state(1)[0])
    try:
        sampler = _instantiated(node, space)
    except ConfigError:
        raise
    except (HydraException, ImportError, TypeError, ValueError) as error:
        raise _refusal(node, error) from error
    allowed = "must be a sampler of Optuna"
    require(isinstance(sampler, BaseSampler), f"{SAMPLER}._target_", node.get("_target_"), allowed)
    return sampler  # type: ignore[no-any-return]


def _instantiated(node: dict[str, Any], space: SearchSpace) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # experimental options
        sampler = instantiate(node, _execution_whitelist_=_WHITELIST)
        if isinstance(sampler, functools.partial) and sampler.func is GridSampler:
            sampler = sampler(_grid(space))
    if isinstance(sampler, CmaEsSampler):
        importlib.import_module("cmaes")  # Optuna misses it only later
    return sampler


def _refusal(node: dict[str, Any], error: Exception) -> ConfigError:
    unknown = re.search(r"unexpected keyword argument '(\w+)'", why(error))
    if unknown is None:
        return ConfigError(SAMPLER, node.get("_target_"), why(error))
    name = str(node.get("_target_")).rpartition(".")[2]
    field = f"{SAMPLER}.{unknown[1]}"
    return ConfigError(field, node.get(unknown[1]), f"{name} has no such option")


def _check_numbers(node: dict[str, Any]) -> None:
    for name, least in _LEAST.items():
        if node.get(name) is not None:
            most = _MOST_SEED if name == "seed" else None
            require_int(f"{SAMPLER}.{name}", node[name], least, most)


def is_exhausted(study: optuna.Study) -> bool:
    return isinstance(study.sampler, GridSampler) and study.sampler.is_exhausted(study)


def _grid(space: SearchSpace) -> dict[str, Any]:
    """Return the values of each parameter."""
    grid: dict[str, Any] = {}
    for parameter in space.reachable():
        values = every_value(parameter.distribution)
        if values is None:
            allowed = "the grid needs steps: a choice or a range, not an interval"
            raise ConfigError(
                parameter.name, describe_distribution(parameter.distribution), allowed
            )
        grid[parameter.name] = values
    return grid


def read_pruner(node: dict[str, Any]) -> PrunerConfig:
    """Return the checked configuration of a pruner."""
    return PRUNERS[node["name"]](**node)


def build_pruner(config: PrunerConfig, epochs: int, rungs: list[int]) -> BasePruner:
    """Return the pruner for trials that report after epochs 1, 2, ..., or at rungs.

    Args:
        rungs: epochs of the shorter trainings; empty: one training, compared on its way.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna calls some of them experimental
        match config:
            case PatientConfig(patience=patience):
                return PatientPruner(_halving(config, epochs, rungs), patience)
            case HyperbandConfig(factor=factor) if rungs:
                return _RungHyperband(rungs, factor)
            case HyperbandConfig():
                return HyperbandPruner(_first_rung(config, epochs), epochs, config.factor)
            case AshaConfig():
                return _halving(config, epochs, rungs)
            case MedianConfig(startup_trials=startup_trials, warmup=warmup):
                return MedianPruner(startup_trials, 0 if rungs else round(warmup * epochs))
    return NopPruner()


class _RungHalving(SuccessiveHalvingPruner):
    """Compares at each rung, also where one is not `factor` times as long as the one before."""

    def __init__(self, rungs: list[int], factor: int) -> None:
        super().__init__(min_resource=1, reduction_factor=factor)
        self._rungs, self._factor = rungs, factor

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        return super().prune(study, _at_powers(trial, self._rungs, self._factor))


class _RungHyperband(HyperbandPruner):
    """Hyperband that compares as _RungHalving does."""

    def __init__(self, rungs: list[int], factor: int) -> None:
        # One more than the whole training's power: a rounded logarithm loses no bracket.
        super().__init__(1, factor ** len(rungs) + 1, factor)
        self._rungs, self._factor = rungs, factor

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        return super().prune(study, _at_powers(trial, self._rungs, self._factor))


def _at_powers(trial: FrozenTrial, rungs: list[int], factor: int) -> FrozenTrial:
    """Return the trial as if it had reported after 1, factor, factor**2, ... epochs."""
    moved = copy.copy(trial)
    values = trial.intermediate_values
    reported = [(i, values[rung]) for i, rung in enumerate(rungs) if rung in values]
    moved.intermediate_values = {factor**i: value for i, value in reported}
    return moved


def _halving(config: AshaConfig, epochs: int, rungs: list[int]) -> SuccessiveHalvingPruner:
    if rungs:
        return _RungHalving(rungs, config.factor)
    first = _first_rung(config, epochs)
    return SuccessiveHalvingPruner(min_resource=first, reduction_factor=config.factor)


def _first_rung(config: AshaConfig, epochs: int) -> int:
    return max(1, round(config.first_rung * epochs))
