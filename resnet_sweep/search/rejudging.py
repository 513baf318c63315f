"""An old trial under other objectives than it was trained for, from the records of its run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from resnet_sweep.records.run_folder import RecordError, read_metrics, read_result
from resnet_sweep.search.objectives import epoch_value, objective_values
from resnet_sweep.workers.study import OUTCOME
from resnet_sweep.workers.trial import rung_dir


def judged_anew(
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
    if OUTCOME not in attributes:
        return attributes
    return attributes | {OUTCOME: {**attributes[OUTCOME], "values": values}}
