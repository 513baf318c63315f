"""The test that tells configurations apart, against SciPy and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from resnet_sweep.reporting.all_pairs import (
    critical_value,
    detectable_difference,
    games_howell,
    welch_degrees,
)


def test_two_groups_are_compared_by_welchs_test() -> None:
    first, second = np.array([0.3, 0.5, 0.4]), np.array([0.1, 0.15])
    expected = stats.ttest_ind(first, second, equal_var=False)
    found = games_howell(first, second, 2)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))


def test_seeds_without_any_scatter_tell_nothing() -> None:
    flat = np.array([0.5, 0.5])
    for other in (flat, flat + 0.25):
        found = games_howell(other, flat, 3)
        assert found.difference == other[0] - 0.5 and np.isnan([found.p_value, found.low]).all()
    first, second = np.full(3, 0.9), np.full(3, 0.8)
    assert second.var(ddof=1) > 0  # by rounding
    assert np.isnan(games_howell(first, second, 5).p_value)


@pytest.mark.slow
@pytest.mark.parametrize("num_groups", [2, 5, 10])
def test_critical_values_are_those_of_the_studentized_range(num_groups: int) -> None:
    degrees = np.array([1.0, 2.3, 4.0, 18.0, 200.0])
    expected = stats.studentized_range.isf(0.05, num_groups, degrees) / np.sqrt(2)
    assert critical_value(num_groups, degrees) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("sds", [(1, 1, 1, 1, 1), (1, 1, 1, 1, 3), (1, 1, 2, 2, 2), (1,) * 10])
@pytest.mark.parametrize("n", [3, 10])
def test_equal_configurations_are_called_behind_once_in_twenty(
    sds: tuple[float, ...], n: int
) -> None:
    """The best is picked by its mean first, and each other one compared with it."""
    k = len(sds)
    generator = np.random.default_rng(n)
    values = generator.normal(0, np.array(sds)[:, None], (20_000, k, n))
    means, squares = values.mean(2), values.var(2, ddof=1) / n
    best = means.argmax(1)[:, None]
    differences = np.take_along_axis(means, best, 1) - means
    best_squares = np.take_along_axis(squares, best, 1)
    critical = critical_value(k, welch_degrees(best_squares, squares, n, n))
    is_behind = differences > critical * np.sqrt(best_squares + squares)
    assert 0.035 < is_behind.any(1).mean() < 0.062


@pytest.mark.parametrize(("first", "second"), [(2, 2), (3, 3), (5, 5), (20, 20), (3, 5)])
def test_welchs_test_finds_the_detectable_difference_four_times_in_five(
    first: int, second: int
) -> None:
    values = _two_groups(detectable_difference(0.15, first, second), first, second)
    found = stats.ttest_ind(*values, axis=1, equal_var=False).pvalue < 0.05
    assert found.mean() == pytest.approx(0.8, abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("n", [3, 10])
def test_so_does_the_test_of_all_pairs(n: int) -> None:
    first, second = _two_groups(detectable_difference(0.15, n, n, 5), n, n)
    v1, v2 = first.var(1, ddof=1) / n, second.var(1, ddof=1) / n
    critical = stats.studentized_range.isf(0.05, 5, GRID) / np.sqrt(2)
    own = np.interp(1 / welch_degrees(v1, v2, n, n), 1 / GRID, critical)
    found = abs(first.mean(1) - second.mean(1)) > own * np.sqrt(v1 + v2)
    assert found.mean() == pytest.approx(0.8, abs=0.01)


GRID = 1 / np.linspace(0.04, 0.5, 24)  # degrees of freedom


def _two_groups(difference: float, *sizes: int) -> list[np.ndarray]:
    generator = np.random.default_rng(sizes)
    means = (difference, 0.0)
    return [generator.normal(m, 0.15, (20_000, n)) for m, n in zip(means, sizes, strict=True)]


def test_no_noise_gives_no_power() -> None:
    assert math.isnan(detectable_difference(0.0, 3, 3))
    assert math.isnan(detectable_difference(0.1, 1, 1))
