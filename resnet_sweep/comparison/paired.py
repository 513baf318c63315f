"""Recipes compared with others, paired by seed, with intervals that hold for all together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from resnet_sweep.records.comparison import Row
from resnet_sweep.reporting.statistics import (
    Comparison,
    mean_interval,
    paired_t_test,
    sidak,
    t_quantile,
)

Values = NDArray[np.float64]


def verdict(low: float, high: float) -> str:
    """Return what an interval of a gain says; NaN decides nothing."""
    return "better" if low > 0 else "worse" if high < 0 else "undecided"


def compare_recipes(names: Sequence[str], values: Values, others: Sequence[int]) -> list[Row]:
    """Return recipes, each but the first compared with another one.

    Args:
        values: float64 [recipes, seeds]; NaN where a run did not complete.
        others: place of the recipe that each is compared with.
    """
    rows = enumerate(zip(names, others, strict=True))
    return [_row(k, name, values, other) for k, (name, other) in rows]


def _row(k: int, name: str, values: Values, other: int) -> Row:
    known = values[k][np.isfinite(values[k])]
    accuracy = mean_interval(known)
    row = Row(
        name,
        len(known),
        "" if len(known) else "all failed",
        values.shape[1] - len(known),
        accuracy.mean,
        accuracy.sd,
        accuracy.low,
        accuracy.high,
    )
    gain, total = (_paired(values[k], values[j]) if k else None for j in (other, 0))
    if total is not None:
        row = replace(row, over_start=total.difference)
    if gain is None:
        return row
    # Half of an interval that all rows keep together, over half of one of this row alone.
    count, degrees = len(values) - 1, gain.n - 1
    wider = float(t_quantile(degrees, count) / t_quantile(degrees))
    low = gain.difference - (gain.difference - gain.low) * wider
    high = gain.difference + (gain.high - gain.difference) * wider
    return replace(
        row,
        verdict=verdict(low, high),
        gain=gain.difference,
        gain_low=gain.low,
        gain_high=gain.high,
        p_value=gain.p_value,
        all_low=low,
        all_high=high,
        all_p_value=sidak(gain.p_value, count),
    )


def _paired(first: Values, second: Values) -> Comparison | None:
    """Compare the seeds that both have; None: fewer than two."""
    both = np.isfinite(first) & np.isfinite(second)
    return paired_t_test(first[both], second[both]) if both.sum() > 1 else None
