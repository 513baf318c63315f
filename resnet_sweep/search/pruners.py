"""Optuna's pruners from their configuration group, and for rungs of any lengths."""

from __future__ import annotations

import copy
import warnings
from typing import Any

from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    NopPruner,
    PatientPruner,
    SuccessiveHalvingPruner,
)
from optuna.study import Study
from optuna.trial import FrozenTrial

from resnet_sweep.search.schema import (
    PRUNERS,
    AshaConfig,
    HyperbandConfig,
    MedianConfig,
    PatientConfig,
    PrunerConfig,
)


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

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        return super().prune(study, _at_powers(trial, self._rungs, self._factor))


class _RungHyperband(HyperbandPruner):
    """Hyperband that compares as _RungHalving does."""

    def __init__(self, rungs: list[int], factor: int) -> None:
        # One more than the whole training's power: a rounded logarithm loses no bracket.
        super().__init__(1, factor ** len(rungs) + 1, factor)
        self._rungs, self._factor = rungs, factor

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
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
