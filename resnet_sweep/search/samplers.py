"""Optuna's samplers from their configuration group.

Optuna's own walks through one set of points (a grid, a quasi-random sequence) keep the order of the
points in each process, so that workers with seeds of their own skip and repeat points. Here a
trial's point follows from the study alone: claims hand out trials one at a time, so no two workers
get one point, and a trial that a kill broke off keeps its own.
"""

from __future__ import annotations

import functools
import importlib
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from hydra.errors import HydraException
from hydra.utils import instantiate
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, CmaEsSampler, GridSampler, QMCSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from resnet_sweep.config.errors import ConfigError, require, require_int, why
from resnet_sweep.search.space import SearchSpace, describe_distribution, every_value
from resnet_sweep.search.trial_attributes import ACCEPTED, EXTENDED_FROM, REJECTED

SAMPLER = "hydra.sweeper.sampler"
# The least that Optuna works with; it does not check this itself.
_LEAST = {"seed": 0, "n_startup_trials": 0, "n_ei_candidates": 1}
_MOST_SEED = 2**32 - 1
_GRID, _QMC = "optuna.samplers.GridSampler", "optuna.samplers.QMCSampler"
_RANDOM = "optuna.samplers.RandomSampler"
_POINT = "grid_id"  # of a trial; Optuna's name, by which it finds the trial's values
_ENQUEUED = "fixed_params"  # Optuna's mark of a trial that is not drawn
_WHITELIST = ("hydra_plugins.hydra_optuna_sweeper.*", "optuna.samplers.*")


def build_sampler(
    node: dict[str, Any], space: SearchSpace, worker: int, trials: int, study_seed: int = 0
) -> BaseSampler:
    """Return the sampler of one worker.

    Args:
        node: hydra.sweeper.sampler; its seed is mixed with the next two, so that no worker
            repeats another's draws and none those from before a restart. What walks through one
            set of points (a grid, a quasi-random sequence) has one seed in all workers.
        trials: in the study when the worker starts.
        study_seed: the same in all workers, of what must share a seed and is given none.

    Raises:
        ConfigError: it lacks a package, or a value is wrong.
    """
    node = dict(node)
    for name, least in _LEAST.items():
        if node.get(name) is not None:
            most = _MOST_SEED if name == "seed" else None
            require_int(f"{SAMPLER}.{name}", node[name], least, most)
    given, target = node.get("seed"), node.get("_target_")
    own = given
    if given is not None and (worker or trials):
        own = int(np.random.SeedSequence([given, worker, trials]).generate_state(1)[0])
    if target in (_GRID, _QMC):
        node["_partial_"] = True  # _instantiated() knows the space
        if target == _QMC and given is None:
            node["seed"] = study_seed
        if target == _QMC and node.get("independent_sampler") is None:
            node["independent_sampler"] = {"_target_": _RANDOM, "seed": own}
    elif own is not None:
        node["seed"] = own
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
            sampler = SharedGrid(_grid(space), **sampler.keywords)
        elif isinstance(sampler, functools.partial) and sampler.func is QMCSampler:
            always = [p for p in space.parameters if p.condition is None]
            # Nothing is drawn from a distribution of one value.
            drawn = {p.name: p.distribution for p in always if not p.distribution.single()}
            sampler = SharedQmc(drawn, **sampler.keywords)
    if isinstance(sampler, CmaEsSampler):
        try:
            importlib.import_module("cmaes")  # Optuna misses it only later
        except ImportError as error:
            allowed = "needs pip install 'resnet_sweep[cmaes]'"
            raise ConfigError("hydra/sweeper/sampler", "cmaes", allowed) from error
    return sampler


def _refusal(node: dict[str, Any], error: Exception) -> ConfigError:
    unknown = re.search(r"unexpected keyword argument '(\w+)'", why(error))
    if unknown is None:
        return ConfigError(SAMPLER, node.get("_target_"), why(error))
    name = str(node.get("_target_")).rpartition(".")[2]
    field = f"{SAMPLER}.{unknown[1]}"
    return ConfigError(field, node.get(unknown[1]), f"{name} has no such option")


def is_exhausted(study: Study) -> bool:
    return isinstance(study.sampler, SharedGrid) and study.sampler.is_exhausted(study)


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


class SharedGrid(GridSampler):
    """A grid of which each point is drawn once, whoever draws and however often it is resumed.

    Visited is what has the values of a trial, wherever its point stands in the list: so are the
    points that differ only in parameters of another branch, and those of an enqueued trial.
    """

    def __init__(self, search_space: Mapping[str, Sequence[Any]], seed: int | None = None) -> None:
        super().__init__(search_space, seed)
        self._left = list(range(len(self._all_grids)))
        self._read: set[int] = set()  # finished trials, by number

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        if _POINT in trial.system_attrs or _ENQUEUED in trial.system_attrs:
            return
        left = self._unvisited(study)
        point = left[0] if left else trial.number % len(self._all_grids)
        study._storage.set_trial_system_attr(trial._trial_id, _POINT, point)

    def after_trial(self, *_: Any) -> None:
        """Nothing: the worker asks whether the grid is exhausted; no Study.optimize is to stop."""

    def is_exhausted(self, study: Study) -> bool:
        """Return whether each point is visited, or in the hands of a worker."""
        return not self._unvisited(study)

    def _unvisited(self, study: Study) -> list[int]:
        trials = study._storage.get_all_trials(study._study_id, deepcopy=False)
        for trial in trials:
            if trial.state.is_finished() and trial.number not in self._read:
                self._read.add(trial.number)
                self._visit(trial)
        running = [trial for trial in trials if trial.state == TrialState.RUNNING]
        taken = {trial.system_attrs.get(_POINT) for trial in running}
        return [point for point in self._left if point not in taken]

    def _visit(self, trial: FrozenTrial) -> None:
        if not {ACCEPTED, REJECTED} & trial.user_attrs.keys():  # given up, perhaps half drawn
            given_up = trial.system_attrs.get(_POINT)
            self._left = [point for point in self._left if point != given_up]
            return
        columns = [
            (i, trial.params[n]) for i, n in enumerate(self._param_names) if n in trial.params
        ]
        grid = self._all_grids
        self._left = [p for p in self._left if any(grid[p][i] != value for i, value in columns)]


class SharedQmc(QMCSampler):
    """A quasi-random sequence in which the n-th trial that is drawn has the n-th point.

    Args:
        space: the parameters that every trial draws; others are drawn independently.
    """

    def __init__(self, space: dict[str, BaseDistribution], **options: Any) -> None:
        super().__init__(**options)
        self._space = space
        self._place = 0

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return self._space

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        trials = study._storage.get_all_trials(study._study_id, deepcopy=False)
        self._place = sum(
            _ENQUEUED not in each.system_attrs and EXTENDED_FROM not in each.user_attrs
            for each in trials[: trial.number]
        )
        return super().sample_relative(study, trial, search_space)

    def _find_sample_id(self, *_: Any) -> int:
        return self._place
