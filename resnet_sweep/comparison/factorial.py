"""Main effects of a two-level design, with intervals that hold for all of them together."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from resnet_sweep.comparison.design import Design, alias_strings
from resnet_sweep.config.errors import UserError
from resnet_sweep.reporting.statistics import sidak, t_quantile

ROUNDING = 1e-9  # a difference of accuracies below it is none
Values = NDArray[np.float64]


def verdict(low: float, high: float) -> str:
    """Return what an interval of a gain says; NaN decides nothing."""
    return "better" if low > 0 else "worse" if high < 0 else "undecided"


@dataclass(frozen=True)
class Effect:
    """The mean where a change is made minus the mean where it is not.

    Args:
        low, high: interval of this effect together with all the others of its kind, at the 95%
            level; NaN where there is no measure of the noise.
        p_value: adjusted for their number.
    """

    name: str
    difference: float
    low: float
    high: float
    p_value: float

    @property
    def verdict(self) -> str:
        return verdict(self.low, self.high)


@dataclass(frozen=True)
class Effects:
    """What a design says.

    Args:
        interactions: of two factors; each is the sum of all pairs that its name lists.
        error: standard error of an effect; NaN: unknown.
        degrees: of freedom of that error.
        method: where the error comes from.
        n: runs that it rests on.
    """

    main: list[Effect]
    interactions: list[Effect]
    error: float
    degrees: float
    method: str
    n: int


def estimate(names: list[str], design: Design, values: Values) -> Effects:
    """Estimate main effects and strings of two-factor interactions.

    Args:
        values: float64 [configurations, seeds]; NaN where a run did not complete.

    Raises:
        UserError: too few runs completed.
    """
    strings = alias_strings(design)
    is_whole = not np.isnan(values).any()
    pairs = np.array([design[:, s[0][0]] * design[:, s[0][1]] for s in strings]).T
    contrasts = np.hstack([design, pairs]) if is_whole else design
    coefficients = _least_squares(contrasts, values)
    error, degrees, method = _noise(coefficients, values)
    count = len(names)
    labels = [" + ".join(f"{names[i]} x {names[j]}" for i, j in string) for string in strings]
    return Effects(
        _effects(names, coefficients[:count], error, degrees),
        _effects(labels, coefficients[count:], error, degrees) if is_whole else [],
        error,
        degrees,
        method,
        int(np.isfinite(values).sum()),
    )


def _least_squares(contrasts: NDArray[np.int8], values: Values) -> Values:
    """Return the effects, two times the coefficients; in a whole design the plain contrasts."""
    rows, seeds = np.nonzero(np.isfinite(values))
    matrix = np.column_stack([np.ones(len(rows)), contrasts[rows]])
    found, _, rank, _ = np.linalg.lstsq(matrix, values[rows, seeds], rcond=None)
    if rank < matrix.shape[1]:
        raise UserError(
            f"only {len(rows)} of {values.size} runs completed: too few to tell effects"
        )
    return np.asarray(2 * found[1:])


def _noise(effects: Values, values: Values) -> tuple[float, float, str]:
    """Return the standard error of an effect, its degrees of freedom and where they come from."""
    counts = np.isfinite(values).sum(axis=1)
    degrees = int((counts[counts > 0] - 1).sum())
    if degrees > 0:
        means = np.nanmean(values[counts > 0], axis=1, keepdims=True)
        squares = float(np.nansum((values[counts > 0] - means) ** 2))
        error = 2 * math.sqrt(squares / degrees / counts.sum())
        return _known(error, degrees, "seeds of one configuration, pooled")
    if counts.min() == 0:
        return math.nan, math.nan, "none: runs failed, and there is one seed"
    return _known(lenth_error(effects), len(effects) / 3, "Lenth's pseudo standard error")


def _known(error: float, degrees: float, method: str) -> tuple[float, float, str]:
    if error > ROUNDING:
        return error, degrees, method
    return math.nan, math.nan, "none: too many runs have the same accuracy"


def lenth_error(effects: Values) -> float:
    """Return Lenth's pseudo standard error, with a third of their number as degrees of freedom.

    Lenth 1989, "Quick and easy analysis of unreplicated factorials", Technometrics 31, 469-473.
    """
    sizes = np.abs(effects)
    first = 1.5 * float(np.median(sizes))
    return 1.5 * float(np.median(sizes[sizes < 2.5 * first])) if first > 0 else 0.0


def _effects(names: list[str], found: Values, error: float, degrees: float) -> list[Effect]:
    """Give each effect an interval that all of them together keep (Sidak's correction)."""
    count = len(names)
    half = float(t_quantile(degrees, count)) * error if count else 0.0
    return [
        Effect(name, float(d), float(d) - half, float(d) + half, _p_value(d, error, degrees, count))
        for name, d in zip(names, found, strict=True)
    ]


def _p_value(difference: float, error: float, degrees: float, count: int) -> float:
    if math.isnan(error):
        return math.nan
    return sidak(2 * float(stats.t.sf(abs(difference / error), degrees)), count)
