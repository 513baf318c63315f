"""Two-level fractional factorial designs of resolution IV, and the effects that they show."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from resnet_sweep.config.errors import require
from resnet_sweep.records.comparison import Row
from resnet_sweep.reporting.statistics import sidak, t_quantile

Levels = NDArray[np.int8]
Values = NDArray[np.float64]
MAX_RUNS = 128
LETTERS = "ABCDEFG"
ROUNDING = 1e-9  # a difference of accuracies below it is none


@dataclass(frozen=True)
class Effects:
    """What a design says.

    Args:
        main: of each factor: the mean where it is high minus the mean where it is low.
        interactions: of two factors; each is the sum of all pairs that its name lists.
        errors: standard errors of the main effects; NaN: unknown.
        degrees: of freedom of that error.
        method: where the error comes from.
    """

    main: list[Row]
    interactions: list[Row]
    errors: Values
    degrees: float
    method: str

    def survivors(self) -> list[str]:
        """Return the changes that are worth more seeds: better by more than the standard error.

        One that does nothing passes in one of six cases (of normal noise); of real ones of two
        standard errors as many are lost, of three one in 44. Without a measure of the noise
        every change survives that was better at all.
        """
        least = np.nan_to_num(self.errors)
        return [e.name for e, error in zip(self.main, least, strict=True) if e.gain > error]


def generators(num_runs: int, num_factors: int) -> list[str]:
    """Return each factor's generator: a product of an odd number of the basic factors.

    No product of two or three odd words but their own is the identity, so that a main effect is
    aliased with neither another nor a two-factor interaction (Box and Hunter 1961,
    "The 2^(k-p) fractional factorial designs", Technometrics 3, 311-351 and 449-458). Sixteen
    factors in 32 runs are their 2^(16-11) design.

    Raises:
        UserError: num_runs is no power of two, or too small for so many factors.
    """
    check_size(num_runs, num_factors)
    power = num_runs.bit_length() - 1
    odd = range(1, power + 1, 2)
    found = ["".join(c) for size in odd for c in combinations(LETTERS[:power], size)]
    return found[:num_factors]


def check_size(num_runs: int, num_factors: int) -> None:
    """Refuse a design that does not exist.

    Raises:
        UserError: num_runs is no power of two, or too small for so many factors.
    """
    is_power = num_runs > 0 and num_runs & (num_runs - 1) == 0
    allowed = f"must be a power of two, from 4 to {MAX_RUNS}"
    require(is_power and 4 <= num_runs <= MAX_RUNS, "runs", num_runs, allowed)
    # As many products of an odd number of letters as of an even number.
    allowed = f"must be at least {2 * num_factors} for {num_factors} factors"
    require(num_factors <= num_runs // 2, "runs", num_runs, allowed)


def fractional_factorial(num_runs: int, num_factors: int) -> Levels:
    """Return the levels, -1 or 1: int8 [num_runs, num_factors].

    Raises:
        UserError: as in `generators`.
    """
    words = generators(num_runs, num_factors)
    numbers = np.arange(num_runs)
    basic = {letter: 2 * (numbers >> i & 1) - 1 for i, letter in enumerate(LETTERS)}
    columns = [np.prod([basic[letter] for letter in word], axis=0) for word in words]
    return np.stack(columns, axis=1).astype(np.int8)


def alias_strings(levels: Levels) -> list[list[tuple[int, int]]]:
    """Return the pairs of factors whose two-factor interactions are one and the same contrast.

    Pairs whose products differ only in sign belong together as well.
    """
    found: dict[bytes, list[tuple[int, int]]] = {}
    for i, j in combinations(range(levels.shape[1]), 2):
        found.setdefault(_key(levels[:, i] * levels[:, j]), []).append((i, j))
    return list(found.values())


def num_three_factor_aliases(levels: Levels) -> list[int]:
    """Return for each main effect how many interactions of three other factors equal it."""
    place = {_key(column): k for k, column in enumerate(levels.T)}
    counts = [0] * levels.shape[1]
    for triple in combinations(range(levels.shape[1]), 3):
        k = place.get(_key(levels[:, list(triple)].prod(axis=1)))
        if k is not None:
            counts[k] += 1
    return counts


def _key(column: NDArray[np.integer[Any]]) -> bytes:
    """Return the same for a contrast and its opposite."""
    return bytes((column * column[0]).astype(np.int8))


def estimate(names: list[str], levels: Levels, values: Values) -> Effects:
    """Estimate main effects and strings of two-factor interactions.

    Args:
        values: float64 [configurations, seeds]; NaN where a run did not complete.
    """
    strings = alias_strings(levels)
    is_whole = not np.isnan(values).any()
    pairs = np.array([levels[:, s[0][0]] * levels[:, s[0][1]] for s in strings]).T
    contrasts = np.hstack([levels, pairs]) if is_whole else levels
    found, scales = _least_squares(contrasts, values)
    sd, degrees, method = _noise(found, values)
    count, n = len(names), int(np.isfinite(values).sum())
    labels = [" + ".join(f"{names[i]} x {names[j]}" for i, j in string) for string in strings]
    errors = sd * scales
    return Effects(
        _rows(names, found[:count], errors[:count], degrees, n),
        _rows(labels, found[count:], errors[count:], degrees, n) if is_whole else [],
        errors[:count],
        degrees,
        method,
    )


def _least_squares(contrasts: Levels, values: Values) -> tuple[Values, Values]:
    """Return the effects, two times the coefficients, and their standard errors at a noise of 1.

    In a whole design they are the plain contrasts, with the same error. What the runs that
    completed cannot tell is NaN.
    """
    rows, seeds = np.nonzero(np.isfinite(values))
    matrix = np.column_stack([np.ones(len(rows)), contrasts[rows]])
    squares = matrix.T @ matrix
    inverse = np.linalg.pinv(squares, hermitian=True)
    can_be_told = np.isclose(np.diag(inverse @ squares), 1)
    found = np.where(can_be_told, 2 * inverse @ matrix.T @ values[rows, seeds], np.nan)
    scales = np.where(can_be_told, 2 * np.sqrt(np.diag(inverse).clip(0)), np.nan)
    return found[1:], scales[1:]


def _noise(effects: Values, values: Values) -> tuple[float, float, str]:
    """Return the standard deviation of a run, its degrees of freedom and where they come from."""
    counts = np.isfinite(values).sum(axis=1)
    degrees = float((counts[counts > 0] - 1).sum())
    if degrees > 0:
        means = np.nanmean(values[counts > 0], axis=1, keepdims=True)
        squares = float(np.nansum((values[counts > 0] - means) ** 2))
        sd = math.sqrt(squares / degrees)
        method = "seeds of one configuration, pooled"
    elif counts.min() == 0:
        return math.nan, math.nan, "none: runs failed, and there is one seed"
    else:
        sd, degrees = lenth_error(effects) * math.sqrt(counts.sum()) / 2, len(effects) / 3
        method = "Lenth's pseudo standard error"
    if sd > ROUNDING:
        return sd, degrees, method
    return math.nan, math.nan, "none: too many runs have the same accuracy"


def lenth_error(effects: Values) -> float:
    """Return Lenth's pseudo standard error, with a third of their number as degrees of freedom.

    Lenth 1989, "Quick and easy analysis of unreplicated factorials", Technometrics 31, 469-473.
    """
    sizes = np.abs(effects)
    first = 1.5 * float(np.median(sizes))
    return 1.5 * float(np.median(sizes[sizes < 2.5 * first])) if first > 0 else 0.0


def _rows(names: list[str], found: Values, errors: Values, degrees: float, n: int) -> list[Row]:
    """Give each effect an interval of its own, and one that all of them keep together."""
    rows = []
    for name, gain, error in zip(names, found.tolist(), errors.tolist(), strict=True):
        alone = float(t_quantile(degrees)) * error
        together = float(t_quantile(degrees, len(names))) * error
        p_value = 2 * float(stats.t.sf(abs(gain / error), degrees))
        rows.append(
            Row(
                name,
                n,
                verdict(gain - together, gain + together),
                gain=gain,
                gain_low=gain - alone,
                gain_high=gain + alone,
                p_value=p_value,
                all_low=gain - together,
                all_high=gain + together,
                all_p_value=sidak(p_value, len(names)),
            )
        )
    return rows


def verdict(low: float, high: float) -> str:
    """Return what an interval of a gain says; NaN decides nothing."""
    return "better" if low > 0 else "worse" if high < 0 else "undecided"
