"""How small a difference a number of seeds can find."""

from __future__ import annotations

import math

from scipy.optimize import brentq
from scipy.stats import nct, t

LEVEL = 0.05
POWER = 0.8


def detectable_difference(
    sd: float, n_first: int, n_second: int, level: float = LEVEL, power: float = POWER
) -> float:
    """Return the difference that a two-sided t test finds with this power; NaN without noise.

    By the noncentral t distribution for equal variances (Cohen 1988, section 2.4).

    Args:
        sd: between seeds, the same in both groups.
    """
    degrees = n_first + n_second - 2
    if degrees < 1 or not sd > 0:
        return math.nan
    critical = float(t.ppf(1 - level / 2, degrees))

    def lacks(noncentrality: float) -> float:
        found = nct.sf(critical, degrees, noncentrality)
        other_way = nct.cdf(-critical, degrees, noncentrality)
        return float(found + (0.0 if math.isnan(other_way) else other_way)) - power

    noncentrality = float(brentq(lacks, 1e-6, critical + 20))
    return noncentrality * sd * math.sqrt(1 / n_first + 1 / n_second)
