"""How small a difference a number of seeds can find."""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import brentq
from scipy.stats import chi2, norm

from resnet_sweep.reporting.all_pairs import critical_value
from resnet_sweep.reporting.statistics import welch_degrees

POWER = 0.8
POINTS = 200  # of each sample variance, in equal parts of its distribution


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


def _bounds(n1: int, n2: int, num_groups: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return what the difference must pass, in its own standard errors, for each variance drawn."""
    upper = (np.arange(POINTS) + 0.5) / POINTS
    v1 = chi2.isf(upper, n1 - 1)[:, None] / (n1 - 1) / n1
    v2 = chi2.isf(upper, n2 - 1)[None, :] / (n2 - 1) / n2
    critical = critical_value(num_groups, welch_degrees(v1, v2, n1, n2))
    return np.asarray(critical * np.sqrt((v1 + v2) / (1 / n1 + 1 / n2)))
