"""Games and Howell's test: all pairs of several groups, so that the best may be picked first.

And how small a difference it finds.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import numpy as np
from numpy.polynomial import Chebyshev
from scipy.optimize import brentq
from scipy.stats import chi2, norm, studentized_range

from resnet_sweep.reporting.statistics import (
    SIGNIFICANCE,
    Array,
    Comparison,
    mean_interval,
    t_quantile,
    welch_degrees,
    welch_test,
)

TERMS = 7  # critical values are then right within 1e-5 of themselves for up to ten groups
POWER = 0.8
POINTS = 200  # of each sample variance, in equal parts of its distribution


def games_howell(first: Array, second: Array, num_groups: int) -> Comparison:
    """Compare two of several independent groups of unequal variance; effect: Hedges' g.

    Welch's t against the studentized range (Games and Howell 1976, doi:10.3102/10769986001002113):
    p value and interval hold for all pairs together. Of two groups it is Welch's test. The same as
    scipy's `tukey_hsd(equal_var=False)`, whose intervals take 24 s for ten groups.
    """
    found = welch_test(first, second)
    if num_groups == 2 or math.isnan(found.p_value):
        return found
    v1, v2 = (mean_interval(each).sd ** 2 / len(each) for each in (first, second))
    error = math.sqrt(v1 + v2)
    degrees = welch_degrees(v1, v2, len(first), len(second))
    half = float(critical_value(num_groups, degrees)) * error
    studentized = math.sqrt(2) * abs(found.difference) / error
    return replace(
        found,
        low=found.difference - half,
        high=found.difference + half,
        p_value=float(np.clip(studentized_range.sf(studentized, num_groups, degrees), 0, 1)),
        test=f"Games and Howell's test of all pairs of {num_groups} over seeds",
    )


def critical_value(num_groups: int, degrees: float | Array) -> Array:
    """Return what Welch's t must pass for a pair to differ at the 5% level.

    Args:
        degrees: of freedom, at least 1.
    """
    if num_groups == 2:
        return np.asarray(t_quantile(degrees))
    return np.asarray(np.exp(_log_critical(num_groups)(1 / np.asarray(degrees))))


@cache
def _log_critical(num_groups: int) -> Chebyshev:
    """Return the logarithm over 1 / degrees: one exact value takes a fifth of a second."""

    def log_critical(inverse: Array) -> Array:
        values = studentized_range.isf(SIGNIFICANCE, num_groups, 1 / inverse)
        return np.asarray(np.log(values / math.sqrt(2)))

    return Chebyshev.interpolate(log_critical, TERMS, domain=[0, 1])


def detectable_difference(sd: float, n_first: int, n_second: int, num_groups: int = 2) -> float:
    """Return the difference that `games_howell` finds in a given pair four times in five.

    By integrating over both sample variances, for normal values of equal variance; NaN without
    noise or with a single seed.

    Args:
        sd: between seeds, the same in both groups.
    """
    if min(n_first, n_second) < 2 or not sd > 0:
        return math.nan
    bounds = _bounds(n_first, n_second, num_groups)

    def lacks(shift: float) -> float:
        return float(np.mean(norm.cdf(shift - bounds) + norm.cdf(-shift - bounds))) - POWER

    shift = float(brentq(lacks, 0, float(bounds.max()) + 5))
    return shift * sd * math.sqrt(1 / n_first + 1 / n_second)


def _bounds(n1: int, n2: int, num_groups: int) -> Array:
    """Return what the difference must pass, in its own standard errors, for each variance drawn."""
    upper = (np.arange(POINTS) + 0.5) / POINTS
    v1 = chi2.isf(upper, n1 - 1)[:, None] / (n1 - 1) / n1
    v2 = chi2.isf(upper, n2 - 1)[None, :] / (n2 - 1) / n2
    critical = critical_value(num_groups, welch_degrees(v1, v2, n1, n2))
    return np.asarray(critical * np.sqrt((v1 + v2) / (1 / n1 + 1 / n2)))
