"""What each change does to a recipe, paired by seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resnet_sweep.comparison.contrasts import verdict
from resnet_sweep.reporting.statistics import (
    Comparison,
    Interval,
    mean_interval,
    paired_t_test,
    t_quantile,
)

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Step:
    """A recipe and what its last change did.

    Args:
        accuracy: over its seeds.
        step: this minus the recipe that it changes, over the seeds that both have; null: the
            start, or fewer than two such seeds.
        total: this minus the start.
        low, high: interval of `step` that holds for all rows together (Sidak's correction).
        num_failed: runs that did not complete.
    """

    name: str
    accuracy: Interval
    step: Comparison | None
    total: Comparison | None
    low: float
    high: float
    num_failed: int

    @property
    def verdict(self) -> str:
        if self.step is None:
            return "all failed" if not self.accuracy.n else ""
        return verdict(self.low, self.high)


def compare_steps(names: list[str], values: Values) -> list[Step]:
    """Return the steps in their order, each compared with the one before it.

    Args:
        values: float64 [configurations, seeds]; NaN where a run did not complete.
    """
    return compare_pairs(names, values, range(-1, len(names) - 1))


def compare_with_start(names: list[str], values: Values) -> list[Step]:
    """Return the start and the changes, each compared with the start.

    Args:
        values: float64 [configurations, seeds]; NaN where a run did not complete.
    """
    return compare_pairs(names, values, [0] * len(names))


def compare_pairs(names: list[str], values: Values, changed: Sequence[int]) -> list[Step]:
    """Return recipes, each but the first compared with the one that it changes.

    Args:
        values: float64 [configurations, seeds]; NaN where a run did not complete.
        changed: place of the other recipe of each.
    """
    rows = enumerate(zip(names, changed, strict=True))
    return [_step(k, name, values, before, len(names) - 1) for k, (name, before) in rows]


def _step(k: int, name: str, values: Values, before: int, count: int) -> Step:
    row = values[k]
    known = row[np.isfinite(row)]
    nothing = Interval(math.nan, math.nan, 0, math.nan, math.nan)
    step = _paired(row, values[before]) if k else None
    half = _half_width(step, count)
    middle = math.nan if step is None else step.difference
    return Step(
        name,
        mean_interval(known) if len(known) else nothing,
        step,
        _paired(row, values[0]) if k else None,
        middle - half,
        middle + half,
        len(row) - len(known),
    )


def _paired(first: Values, second: Values) -> Comparison | None:
    both = np.isfinite(first) & np.isfinite(second)
    return paired_t_test(first[both], second[both]) if both.sum() > 1 else None


def _half_width(found: Comparison | None, count: int) -> float:
    if found is None:
        return math.nan
    plain, degrees = (found.high - found.low) / 2, found.n - 1
    return plain * float(t_quantile(degrees, count) / t_quantile(degrees))
