"""Accuracies of ended runs as an array, and the runs that did not complete."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from resnet_sweep.records.ended_run import EndedRun


def by_configuration(ended: list[EndedRun], num_configurations: int) -> NDArray[np.float64]:
    """Return float64 [configurations, seeds]; NaN where a run did not complete.

    Args:
        ended: seed by seed every configuration, as with_seeds has planned them.
    """
    values = [np.nan if run.accuracy is None else run.accuracy for run in ended]
    return np.array(values, np.float64).reshape(-1, num_configurations).T


def failures(ended: list[EndedRun]) -> list[str]:
    """Return a line about each run that did not complete."""
    return [
        f"run {run.run_dir} ({run.configuration}, seed {run.seed}): {run.reason}: {run.error}"
        for run in ended
        if run.accuracy is None
    ]


def completed_share(ended: list[EndedRun]) -> str:
    done = sum(run.accuracy is not None for run in ended)
    seconds = sum(run.train_seconds or 0.0 for run in ended)
    return f"{done} of {len(ended)} runs completed, {seconds:,.0f} s of training"
