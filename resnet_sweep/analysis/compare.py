"""Is one better than the other? Two runs over the same images, two configurations over seeds."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd

from resnet_sweep.analysis.configurations import seed_values
from resnet_sweep.analysis.objective import Objective
from resnet_sweep.config.errors import UserError
from resnet_sweep.records.run_folder import Predictions, read_predictions
from resnet_sweep.reporting.statistics import (
    Comparison,
    Noise,
    mcnemar_test,
    paired_t_test,
    welch_test,
)


def compare_runs(first: Path, second: Path) -> Comparison:
    """Compare two run folders on their stored validation predictions.

    The answer holds for these two trained nets; the noise between seeds comes on top.

    Raises:
        UserError: predictions are missing, or not of the same images.
    """
    one, two = read_predictions(first), read_predictions(second)
    _, here, there = np.intersect1d(one.indices, two.indices, return_indices=True)
    same = len(here) == len(one.indices) == len(two.indices)
    if not same or not np.array_equal(one.labels[here], two.labels[there]):
        raise UserError(f"{first} and {second}: not validated on the same images")
    return mcnemar_test(_correct(one)[here], _correct(two)[there])


def compare_configurations(
    runs: pd.DataFrame, first: str, second: str, objective: Objective
) -> Comparison:
    """Compare two configurations over their seeds: paired where all seeds are shared.

    Raises:
        UserError: one of them has fewer than two seeds.
    """
    one, two = (seed_values(runs, name, objective) for name in (first, second))
    for name, values in ((first, one), (second, two)):
        if len(values) < 2:
            raise UserError(f"configuration {name}: has {len(values)} seeds, a test needs 2")
    if set(one.index) == set(two.index):
        return paired_t_test(one.to_numpy(), two[one.index].to_numpy())
    return welch_test(one.to_numpy(), two.to_numpy())


def describe(comparison: Comparison, objective: Objective, noise: Noise | None = None) -> str:
    """Return a comparison as one sentence, differences of accuracies in points.

    Args:
        noise: between seeds, where two single runs were compared.
    """
    scale, unit = (100, " points") if objective.is_accuracy else (1, "")
    text = (
        f"difference {scale * comparison.difference:+.3g}{unit} (95% interval "
        f"{scale * comparison.low:+.3g} to {scale * comparison.high:+.3g}), "
        f"p = {comparison.p_value:.2g} ({comparison.test}, n = {comparison.n})"
    )
    if not math.isnan(comparison.effect):
        text += f", {comparison.effect_name} {comparison.effect:.2g}"
    return text + _noise_remark(comparison, noise, scale, unit)


def _noise_remark(comparison: Comparison, noise: Noise | None, scale: int, unit: str) -> str:
    if noise is None:
        return ""
    limit = noise.least_difference(1, 1)
    if math.isnan(limit):
        return "; the noise between seeds is not known"
    inside = "within" if abs(comparison.difference) <= limit else "beyond"
    by_luck = f"two single runs may differ by {scale * limit:.2g}{unit} by luck alone"
    return f"; {inside} the seed noise ({by_luck})"


def _correct(predictions: Predictions) -> np.ndarray:
    correct: np.ndarray = predictions.probabilities.argmax(1) == predictions.labels
    return correct
