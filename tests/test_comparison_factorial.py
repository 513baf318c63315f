"""Effects, their errors and intervals against SciPy, NumPy and simulations of known truth."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from resnet_sweep.comparison.contrasts import estimate, lenth_error
from resnet_sweep.comparison.design import alias_strings, fractional_factorial
from resnet_sweep.config.errors import UserError

NAMES = [f"f{k}" for k in range(16)]
DESIGN = fractional_factorial(32, 16)


def _noisy(seed: int, seeds: int, **truth: float) -> NDArray[np.float64]:
    draw = np.random.default_rng(seed)
    values = draw.normal(0.9, 0.01, (32, seeds))
    for name, effect in truth.items():
        values += effect / 2 * DESIGN[:, NAMES.index(name), None]
    return values


def test_effects_are_differences_of_means_with_a_pooled_error() -> None:
    values = _noisy(0, 3, f2=0.05)
    found = estimate(NAMES, DESIGN, values)
    for k, effect in enumerate(found.main):
        high, low = values[DESIGN[:, k] > 0], values[DESIGN[:, k] < 0]
        assert effect.difference == pytest.approx(high.mean() - low.mean())
    pooled = np.sqrt(values.var(axis=1, ddof=1).mean())
    assert found.error == pytest.approx(2 * pooled / np.sqrt(96)) and found.degrees == 64
    sidak = stats.t.ppf((1 + 0.95 ** (1 / 16)) / 2, 64) * found.error
    effect = found.main[2]
    assert (effect.low, effect.high) == pytest.approx(
        (effect.difference - sidak, effect.difference + sidak)
    )
    single = 2 * stats.t.sf(abs(effect.difference) / found.error, 64)
    assert effect.p_value == pytest.approx(1 - (1 - single) ** 16, abs=1e-12)
    assert [e.name for e in found.main if e.verdict == "better"] == ["f2"]


def test_lenths_error_follows_its_two_medians() -> None:
    effects = np.array([-3.0, 0.1, 0.2, -0.3, 0.4, -0.5, 20.0])
    first = 1.5 * np.median(np.abs(effects))  # 0.6: 3 and 20 lie beyond 2.5 times that
    assert first == pytest.approx(0.6)
    assert lenth_error(effects) == pytest.approx(1.5 * np.median([0.1, 0.2, 0.3, 0.4, 0.5]))
    found = estimate(NAMES, DESIGN, _noisy(1, 1, f5=-0.08))
    assert found.method.startswith("Lenth") and found.degrees == pytest.approx(31 / 3)
    assert [e.name for e in found.main if e.verdict == "worse"] == ["f5"]


@pytest.mark.parametrize(("seeds", "most"), [(1, 0.10), (2, 0.085)])
def test_nothing_is_found_where_there_is_nothing(seeds: int, most: float) -> None:
    """One false alarm in twenty screenings, over all effects; 500 screenings: 0.05 +- 0.01."""
    alarms = 0
    for number in range(500):
        found = estimate(NAMES, DESIGN, _noisy(number + 1, seeds))
        alarms += any(effect.verdict != "undecided" for effect in found.main)
    assert 0.005 < alarms / 500 < most


def test_an_interaction_shows_in_its_own_string_alone() -> None:
    values = _noisy(2, 2)
    values += 0.03 * (DESIGN[:, 3] * DESIGN[:, 7])[:, None]
    found = estimate(NAMES, DESIGN, values)
    told = [effect.name for effect in found.interactions if effect.verdict != "undecided"]
    assert len(told) == 1 and "f3 x f7" in told[0] and len(told[0].split(" + ")) == 8
    assert all(effect.verdict == "undecided" for effect in found.main)
    assert len(found.interactions) == len(alias_strings(DESIGN))


def test_runs_that_failed_leave_the_rest_to_least_squares() -> None:
    values = _noisy(3, 2, f1=0.06)
    values[4] = np.nan
    values[9, 1] = np.nan
    found = estimate(NAMES, DESIGN, values)
    rows, seeds = np.nonzero(np.isfinite(values))
    matrix: Any = np.column_stack([np.ones(len(rows)), DESIGN[rows]])
    expected = 2 * np.linalg.solve(matrix.T @ matrix, matrix.T @ values[rows, seeds])[1:]
    assert [effect.difference for effect in found.main] == pytest.approx(list(expected))
    assert found.degrees == 30 and found.n == 61 and not found.interactions


def test_too_few_runs_say_so() -> None:
    values = _noisy(4, 1)
    values[3] = np.nan
    found = estimate(NAMES, DESIGN, values)
    assert math.isnan(found.error) and {e.verdict for e in found.main} == {"undecided"}
    values[:20] = np.nan
    with pytest.raises(UserError, match="only 12 of 32 runs completed"):
        estimate(NAMES, DESIGN, values)
