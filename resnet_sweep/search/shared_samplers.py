"""Samplers that walk through one set of points, which all workers of a sweep must share.

Optuna's own keep the order of the points in each process, so that workers with seeds of their own
skip and repeat points. Here a trial's point follows from the study alone: claims hand out trials
one at a time, so no two workers get one point, and a trial that a kill broke off keeps its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import GridSampler, QMCSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from resnet_sweep.search.trial_attributes import ACCEPTED, EXTENDED_FROM, REJECTED

_POINT = "grid_id"  # of a trial; Optuna's name, by which it finds the trial's values
_ENQUEUED = "fixed_params"  # Optuna's mark of a trial that is not drawn


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
        self._place = sum(map(_is_drawn, trials[: trial.number]))
        return super().sample_relative(study, trial, search_space)

    def _find_sample_id(self, *_: Any) -> int:
        return self._place


def _is_drawn(trial: FrozenTrial) -> bool:
    return _ENQUEUED not in trial.system_attrs and EXTENDED_FROM not in trial.user_attrs
