"""Intervals, tests and counts on plain arrays; nothing here knows what a run is.

`scipy.stats` takes a second to import: it is looked up where a test needs it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy
from scipy.special import ndtri, stdtrit

SIGNIFICANCE = 0.05
LEVEL = 1 - SIGNIFICANCE
# A difference that is a smaller share of its numbers is rounding.
ROUNDING = 1e-12
Array = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Interval:
    """A mean with Student's t interval (two-sided, 95%).

    The ends are NaN where n is too small for one, or all values are equal: so few seeds without
    any scatter do not show that others would have none.

    Args:
        sd: sample standard deviation, with n - 1.
    """

    mean: float
    sd: float
    n: int
    low: float
    high: float


@dataclass(frozen=True)
class Noise:
    """Standard deviation between seeds, pooled over configurations with several.

    Args:
        sd: NaN where no configuration has two seeds.
        degrees: of freedom, the sum of n - 1.
        groups: configurations that it comes from.
    """

    sd: float
    degrees: int
    groups: int = 0

    @property
    def is_known(self) -> bool:
        """Whether repeated seeds differ: so few that are equal do not show that all would be."""
        return self.sd > 0

    def least_difference(self, n_first: Any, n_second: Any) -> Any:
        """Return the difference of two means that chance passes once in twenty (t, two-sided).

        Args:
            n_first, n_second: seeds of each, numbers or arrays.
        """
        if not self.is_known:
            return np.full(np.broadcast_shapes(np.shape(n_first), np.shape(n_second)), math.nan)[()]
        return t_quantile(self.degrees) * self.sd * np.sqrt(1 / n_first + 1 / n_second)


@dataclass(frozen=True)
class Comparison:
    """First minus second, with a 95% interval.

    Args:
        test: the name of the test that gave the p value (two-sided).
        effect: standardised difference; NaN where the test has none.
        effect_name: which standardisation.
        n: pairs, or the smaller group.
    """

    difference: float
    low: float
    high: float
    p_value: float
    test: str
    effect: float
    effect_name: str
    n: int


def difference(first: float, second: float) -> float:
    """Return first minus second; zero where only rounding tells them apart."""
    found = first - second
    return 0.0 if abs(found) <= ROUNDING * max(abs(first), abs(second)) else found


def mean_interval(values: Sequence[float] | Array) -> Interval:
    """Return mean, standard deviation and 95% t interval."""
    data = np.asarray(values, np.float64)
    n, mean = len(data), float(data.mean()) if len(data) else math.nan
    if n < 2:
        return Interval(mean, math.nan, n, math.nan, math.nan)
    sd = math.sqrt(_squares(data) / (n - 1))
    half = float(t_quantile(n - 1)) * sd / math.sqrt(n) if sd > 0 else math.nan
    return Interval(mean, sd, n, mean - half, mean + half)


def t_quantile(degrees: Any, num_intervals: int = 1) -> Any:
    """Return what Student's t passes, on either side, once in twenty times.

    Args:
        degrees: of freedom, a number or an array.
        num_intervals: that are to hold together, each by so much wider (Sidak 1967).
    """
    return stdtrit(degrees, (1 + LEVEL ** (1 / num_intervals)) / 2)


def wilson_interval(num_hits: float, count: int) -> tuple[float, float]:
    """Return the 95% score interval of a share (Wilson 1927, JASA 22, 209-212).

    Args:
        num_hits: also a fraction, as a mean of several shares gives it; scipy's
            `binomtest` takes integers alone.
    """
    share, z = num_hits / count, float(ndtri((1 + LEVEL) / 2))
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    spread = math.sqrt(max(0.0, share * (1 - share)) / count + z**2 / (4 * count**2))
    half = z * spread / (1 + z**2 / count)
    # At the ends the terms cancel but for rounding.
    low = 0.0 if num_hits == 0 else max(0.0, middle - half)
    return low, 1.0 if num_hits == count else min(1.0, middle + half)


def pooled_noise(groups: Iterable[Sequence[float] | Array]) -> Noise:
    """Return the standard deviation within groups, each with its own mean."""
    squares, degrees, used = 0.0, 0, 0
    for group in groups:
        data = np.asarray(group, np.float64)
        squares += _squares(data)
        degrees += len(data) - 1
        used += len(data) > 1
    return Noise(math.sqrt(squares / degrees) if degrees else math.nan, degrees, used)


def paired_t_test(first: Array, second: Array) -> Comparison:
    """Compare values that belong together pair by pair; effect: Cohen's d of the differences.

    Where all differences are equal, p value and interval are NaN.
    """
    pairs = zip(first.tolist(), second.tolist(), strict=True)
    interval = mean_interval([difference(one, two) for one, two in pairs])
    if interval.sd > 0:
        p_value = float(scipy.stats.ttest_rel(first, second).pvalue)
        effect = interval.mean / interval.sd
        low, high = interval.low, interval.high
    else:  # so few seeds that no noise shows tell nothing
        p_value = effect = low = high = math.nan
    return Comparison(
        interval.mean,
        low,
        high,
        p_value,
        "paired t test over seeds",
        effect,
        "Cohen's d of the differences",
        interval.n,
    )


def welch_test(first: Array, second: Array) -> Comparison:
    """Compare two independent groups of unequal variance; effect: Hedges' g.

    Where neither group has any scatter, p value and interval are NaN.
    """
    one, two = mean_interval(first), mean_interval(second)
    found = difference(one.mean, two.mean)
    pooled = pooled_noise([first, second]).sd
    if pooled > 0:
        test = scipy.stats.ttest_ind_from_stats(
            one.mean, one.sd, one.n, two.mean, two.sd, two.n, equal_var=False
        )
        v1, v2 = one.sd**2 / one.n, two.sd**2 / two.n
        half = float(t_quantile(welch_degrees(v1, v2, one.n, two.n))) * math.sqrt(v1 + v2)
        p_value = float(test.pvalue)
        effect = (1 - 3 / (4 * (one.n + two.n) - 9)) * found / pooled
    else:  # so few seeds that no noise shows tell nothing
        half = p_value = effect = math.nan
    return Comparison(
        found,
        found - half,
        found + half,
        p_value,
        "Welch's t test over seeds",
        effect,
        "Hedges' g",
        min(one.n, two.n),
    )


def welch_degrees(v1: Any, v2: Any, n1: int, n2: int) -> Any:
    """Return Welch's degrees of freedom from the squared standard errors of two means."""
    return (v1 + v2) ** 2 / (v1**2 / (n1 - 1) + v2**2 / (n2 - 1))


def mcnemar_test(first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_]) -> Comparison:
    """Compare which of the same images two nets get right (McNemar's exact test).

    The interval is Clopper and Pearson's of the share of the first among the images that they
    judge differently, times these; so it holds zero where the test is not significant. Where
    they agree on all n images, the ends are 1 - 0.025^(1/n) and minus that.

    Args:
        first, second: [N], true where the net is right.
    """
    n = len(first)
    only_first = int((first & ~second).sum())
    only_second = int((second & ~first).sum())
    discordant = only_first + only_second
    if discordant:
        test = scipy.stats.binomtest(only_first, discordant)
        share = test.proportion_ci(LEVEL, "exact")
        low, high = ((2 * end - 1) * discordant / n for end in (share.low, share.high))
        p_value = float(test.pvalue)
    else:
        high = 1 - ((1 - LEVEL) / 2) ** (1 / n)
        low, p_value = -high, 1.0
    return Comparison(
        (only_first - only_second) / n,
        float(low),
        float(high),
        p_value,
        "McNemar's exact test over validation images",
        math.nan,
        "",
        n,
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values adjusted for many tests (Holm 1979), in the order given; scipy has none."""
    order = np.argsort(p_values)
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(order):
        largest = max(largest, (len(p_values) - rank) * p_values[place])
        adjusted[place] = min(1.0, largest)
    return adjusted


def sidak(p_value: float, num_tests: int) -> float:
    """Return a p value adjusted for so many tests (Sidak 1967); belongs to `t_quantile`'s."""
    return -math.expm1(num_tests * math.log1p(-min(p_value, 1 - 1e-16)))


def _squares(data: Array) -> float:
    """Return the sum of squares around the mean; zero where the values differ by rounding only."""
    if not len(data) or np.ptp(data) <= ROUNDING * np.abs(data).max():
        return 0.0
    return float(((data - data.mean()) ** 2).sum())
