"""Recipes compared with each other, against SciPy's paired test."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from resnet_sweep.comparison.report import tables
from resnet_sweep.comparison.trained import compare_recipes
from resnet_sweep.records.comparison import Part, Row

NAMES = ["start", "good", "nothing", "bad"]
ABOVE, START = [0, 0, 1, 2], [0, 0, 0, 0]


def _values(num_seeds: int = 6) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    draw = np.random.default_rng(5)
    shared = draw.normal(0.5, 0.05, num_seeds)  # what a seed does to every recipe
    means = np.array([0.0, 0.03, 0.03, -0.02])
    return shared + means[:, None] + draw.normal(0, 0.002, (4, num_seeds))


@pytest.mark.parametrize(
    ("others", "verdicts"),
    [(ABOVE, ["better", "undecided", "worse"]), (START, ["better", "better", "worse"])],
)
def test_recipes_are_paired_with_another(others: list[int], verdicts: list[str]) -> None:
    values = _values()
    rows = compare_recipes(NAMES, values, others)
    assert math.isnan(rows[0].gain) and rows[0].verdict == ""
    for k in range(1, 4):
        found, row = stats.ttest_rel(values[k], values[others[k]]), rows[k]
        alone = found.confidence_interval(0.95)
        together = found.confidence_interval(0.95 ** (1 / 3))
        assert (row.gain_low, row.gain_high) == pytest.approx((alone.low, alone.high))
        assert (row.all_low, row.all_high) == pytest.approx((together.low, together.high))
        assert row.p_value == pytest.approx(found.pvalue)
        assert row.all_p_value == pytest.approx(1 - (1 - found.pvalue) ** 3)
        assert row.over_start == pytest.approx((values[k] - values[0]).mean())
        mean = stats.t.interval(0.95, 5, values[k].mean(), stats.sem(values[k]))
        assert (row.mean, row.low, row.high) == pytest.approx((values[k].mean(), *mean))
    assert [row.verdict for row in rows[1:]] == verdicts


def test_a_seed_that_failed_is_left_out_of_its_pairs_alone() -> None:
    values = _values()
    values[1, 2] = np.nan
    rows = compare_recipes(NAMES, values, ABOVE)
    assert [row.n for row in rows] == [6, 5, 6, 6]
    assert [row.num_failed for row in rows] == [0, 1, 0, 0]
    kept = np.isfinite(values[1])
    expected = stats.ttest_rel(values[2, kept], values[1, kept]).pvalue
    assert rows[2].p_value == pytest.approx(expected)


def test_a_recipe_whose_every_run_failed_has_no_verdict() -> None:
    values = _values()
    values[2] = np.nan
    rows = compare_recipes(NAMES, values, ABOVE)
    assert rows[2].n == 0 and math.isnan(rows[2].gain) and math.isnan(rows[3].gain)
    assert rows[3].over_start == pytest.approx((values[3] - values[0]).mean())
    assert [row.verdict for row in rows[1:]] == ["better", "all failed", ""]


def test_effects_are_listed_largest_first_and_unknown_ones_last() -> None:
    gains = {"small": 0.001, "unknown": math.nan, "worse": -0.10, "middle": 0.04}
    rows = [Row(name, 8, "", gain=gain) for name, gain in gains.items()]
    ((_, table),) = tables(Part("effects", "Main effects", rows))
    assert table is not None
    assert [row[-1] for row in table.rows] == ["worse", "middle", "small", "unknown"]
