"""What a sweep optimises, read from the results of its trials."""

from __future__ import annotations

import math
from collections.abc import Sequence

from resnet_sweep.records.run_folder import EpochMetrics, TrialResult

# Objectives that are known after each epoch, so that a pruner can compare.
PER_EPOCH = ("val_accuracy", "val_loss")


def objective_values(result: TrialResult, objectives: Sequence[str]) -> list[float] | None:
    """Return one value for each objective; null where one is missing or not finite."""
    values = [getattr(result, name) for name in objectives]
    if any(value is None or not math.isfinite(value) for value in values):
        return None
    return [float(value) for value in values]


def epoch_value(metrics: EpochMetrics, objectives: Sequence[str]) -> float | None:
    """Return what to report after an epoch; null where nothing can be reported.

    Optuna takes no intermediate values for several objectives.
    """
    if len(objectives) != 1 or objectives[0] not in PER_EPOCH:
        return None
    value = getattr(metrics, objectives[0])
    return None if value is None else float(value)
