"""Intervals and tests on plain arrays; nothing here knows what a run is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr, ndtri, stdtr, stdtrit

SIGNIFICANCE = 0.05
LEVEL = 1 - SIGNIFICANCE
BOOTSTRAP_DRAWS = 10_000
# A difference that is a smaller share of its numbers is rounding.
ROUNDING = 1e-12
Array = npt.NDArray[np.floating[Any]]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Interval:
    """A mean with Student's t interval (two-sided, 95%); NaN where n is too small for one.

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

    def least_difference(self, n_first: int, n_second: int) -> float:
        """Return the difference of two means that chance passes once in twenty (t, two-sided)."""
        if self.degrees == 0:
            return math.nan
        spread = self.sd * math.sqrt(1 / n_first + 1 / n_second)
        return t_quantile(self.degrees) * spread


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


def cut_to_fractions(low: float, high: float) -> tuple[float, float]:
    """Return the ends of an accuracy's interval as they are shown: none lies beyond 0 or 1."""
    return max(low, 0.0), min(high, 1.0)


def mean_interval(values: Sequence[float] | Array) -> Interval:
    """Return mean, standard deviation and 95% t interval."""
    data = np.asarray(values, np.float64)
    n, mean = len(data), float(data.mean()) if len(data) else math.nan
    if n < 2:
        return Interval(mean, math.nan, n, math.nan, math.nan)
    sd = math.sqrt(_squares(data) / (n - 1))
    half = t_quantile(n - 1) * sd / math.sqrt(n)
    return Interval(mean, sd, n, mean - half, mean + half)


def wilson_interval(num_hits: float, count: int) -> tuple[float, float]:
    """Return the 95% score interval of a share (Wilson 1927, JASA 22, 209-212)."""
    share, z = num_hits / count, float(ndtri((1 + LEVEL) / 2))
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    spread = math.sqrt(max(0.0, share * (1 - share)) / count + z**2 / (4 * count**2))
    half = z * spread / (1 + z**2 / count)
    # At the ends the terms cancel but for rounding.
    low = 0.0 if num_hits == 0 else max(0.0, middle - half)
    return low, 1.0 if num_hits == count else min(1.0, middle + half)


def count_confusion(labels: Labels, guesses: Labels, num_classes: int) -> Labels:
    """Return counts [true class, predicted class]."""
    counts = np.bincount(labels * num_classes + guesses, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


def pooled_noise(groups: Iterable[Sequence[float] | Array]) -> Noise:
    """Return the standard deviation within groups, each with its own mean."""
    squares, degrees, used = 0.0, 0, 0
    for group in groups:
        data = np.asarray(group, np.float64)
        squares += _squares(data)
        degrees += len(data) - 1
        used += len(data) > 1
    return Noise(math.sqrt(squares / degrees) if degrees else math.nan, degrees, used)


def brown_forsythe(groups: Sequence[Array]) -> float:
    """Return the p value of equal variances (Brown and Forsythe 1974); NaN below two groups."""
    if len(groups) < 2:
        return math.nan
    from scipy.stats import levene  # a quarter of a second that most summaries need not spend

    with np.errstate(invalid="ignore", divide="ignore"):  # all seeds alike
        return float(levene(*groups, center="median").pvalue)


def paired_t_test(first: Array, second: Array) -> Comparison:
    """Compare values that belong together pair by pair; effect: Cohen's d of the differences."""
    pairs = zip(first.tolist(), second.tolist(), strict=True)
    differences = np.array([difference(one, two) for one, two in pairs])
    interval = mean_interval(differences)
    degrees = len(differences) - 1
    effect = interval.mean / interval.sd if interval.sd > 0 else math.nan
    error = interval.sd / math.sqrt(len(differences))
    p_value = _two_sided(interval.mean, error, degrees)
    return Comparison(
        interval.mean,
        interval.low,
        interval.high,
        p_value,
        "paired t test over seeds",
        effect,
        "Cohen's d of the differences",
        len(differences),
    )


def welch_test(first: Array, second: Array) -> Comparison:
    """Compare two independent groups of unequal variance; effect: Hedges' g."""
    n1, n2 = len(first), len(second)
    v1, v2 = _squares(first) / (n1 - 1) / n1, _squares(second) / (n2 - 1) / n2
    found, error = difference(float(first.mean()), float(second.mean())), math.sqrt(v1 + v2)
    degrees = welch_degrees(v1, v2, n1, n2) if error > 0 else n1 + n2 - 2
    half = t_quantile(degrees) * error
    pooled = pooled_noise([first, second]).sd
    correction = 1 - 3 / (4 * (n1 + n2) - 9)
    return Comparison(
        found,
        found - half,
        found + half,
        _two_sided(found, error, degrees),
        "Welch's t test over seeds",
        correction * found / pooled if pooled > 0 else math.nan,
        "Hedges' g",
        min(n1, n2),
    )


def welch_degrees(v1: Any, v2: Any, n1: int, n2: int) -> Any:
    """Return Welch's degrees of freedom from the squared standard errors of two means."""
    return (v1 + v2) ** 2 / (v1**2 / (n1 - 1) + v2**2 / (n2 - 1))


def mcnemar_test(first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_]) -> Comparison:
    """Compare which of the same images two nets get right (McNemar's exact test).

    The interval is the paired bootstrap's over images (percentiles of 10,000 draws).

    Args:
        first, second: [N], true where the net is right.
    """
    n = len(first)
    only_first = int((first & ~second).sum())
    only_second = int((second & ~first).sum())
    draws = np.random.default_rng(0).multinomial(
        n, [only_first / n, only_second / n, (n - only_first - only_second) / n], BOOTSTRAP_DRAWS
    )
    low, high = np.quantile((draws[:, 0] - draws[:, 1]) / n, [0.025, 0.975])
    discordant = only_first + only_second
    tail = float(bdtr(min(only_first, only_second), discordant, 0.5)) if discordant else 1.0
    return Comparison(
        (only_first - only_second) / n,
        float(low),
        float(high),
        min(1.0, 2 * tail),
        "McNemar's exact test over validation images",
        math.nan,
        "",
        n,
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values adjusted for many tests (Holm 1979), in the order given."""
    order = np.argsort(p_values)
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(order):
        largest = max(largest, (len(p_values) - rank) * p_values[place])
        adjusted[place] = min(1.0, largest)
    return adjusted


def _squares(data: Array) -> float:
    """Return the sum of squares around the mean; zero where the values differ by rounding only."""
    if not len(data) or np.ptp(data) <= ROUNDING * np.abs(data).max():
        return 0.0
    return float(((data - data.mean()) ** 2).sum())


def t_quantile(degrees: float) -> float:
    """Return what Student's t passes, on either side, once in twenty times."""
    return float(stdtrit(degrees, 0.5 + LEVEL / 2))


def _two_sided(difference: float, error: float, degrees: float) -> float:
    if error == 0:
        return 1.0 if difference == 0 else 0.0
    return float(2 * stdtr(degrees, -abs(difference / error)))
