"""Steps of an ablation and changes of a follow-up against SciPy's paired test."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from resnet_sweep.comparison.planning import RecipePlan
from resnet_sweep.comparison.step_report import said
from resnet_sweep.comparison.steps import compare_steps, compare_with_start
from resnet_sweep.config import Config
from resnet_sweep.records.ended_run import EndedRun

NAMES = ["start", "good", "nothing", "bad"]


def _values(num_seeds: int = 6) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    draw = np.random.default_rng(5)
    shared = draw.normal(0.5, 0.05, num_seeds)  # what a seed does to every recipe
    means = np.array([0.0, 0.03, 0.03, -0.02])
    return shared + means[:, None] + draw.normal(0, 0.002, (4, num_seeds))


def test_steps_are_paired_with_the_one_before() -> None:
    values = _values()
    steps = compare_steps(NAMES, values)
    assert steps[0].step is None and steps[0].verdict == ""
    for k in range(1, 4):
        found = stats.ttest_rel(values[k], values[k - 1])
        interval = found.confidence_interval(0.95)
        step = steps[k].step
        assert step is not None and step.p_value == pytest.approx(found.pvalue)
        assert (step.low, step.high) == pytest.approx((interval.low, interval.high))
        corrected = found.confidence_interval(0.95 ** (1 / 3))
        assert (steps[k].low, steps[k].high) == pytest.approx((corrected.low, corrected.high))
        total = steps[k].total
        assert total is not None
        assert total.difference == pytest.approx((values[k] - values[0]).mean())
    assert [step.verdict for step in steps[1:]] == ["better", "undecided", "worse"]


def test_changes_are_paired_with_the_start() -> None:
    values = _values()
    changes = compare_with_start(NAMES, values)
    assert changes[0].step is None and changes[0].verdict == ""
    for k in range(1, 4):
        found = stats.ttest_rel(values[k], values[0])
        corrected = found.confidence_interval(0.95 ** (1 / 3))
        assert (changes[k].low, changes[k].high) == pytest.approx((corrected.low, corrected.high))
        assert changes[k].step == changes[k].total
    assert [change.verdict for change in changes[1:]] == ["better", "better", "worse"]


def test_a_seed_that_failed_is_left_out_of_its_pairs_alone() -> None:
    values = _values()
    values[1, 2] = np.nan
    steps = compare_steps(NAMES, values)
    assert [step.accuracy.n for step in steps] == [6, 5, 6, 6]
    assert [step.step.n for step in steps if step.step] == [5, 5, 6]
    assert [step.num_failed for step in steps] == [0, 1, 0, 0]


def test_a_recipe_whose_every_run_failed_has_no_verdict() -> None:
    values = _values()
    values[2] = np.nan
    steps = compare_steps(NAMES, values)
    assert steps[2].accuracy.n == 0 and steps[2].step is None and steps[3].step is None
    assert steps[3].total is not None
    assert [step.verdict for step in steps[1:]] == ["better", "all failed", ""]


def test_a_report_without_any_pair_says_so() -> None:
    values = _values()
    values[1:] = np.nan
    names = ["start", "a", "b", "c"]
    configs = [Config() for _ in names]
    ended = [
        EndedRun(
            name, seed, "completed" if name == "start" else "failed", None, None, value, 1.0, ""
        )
        for name, row in zip(names, values.tolist(), strict=True)
        for seed, value in enumerate(row if name == "start" else [None] * len(row))
    ]
    plan = RecipePlan(names, configs, [])
    lines = said(plan, compare_steps(names, values), ended, "step")
    assert "no step can be judged: fewer than two pairs of runs completed" in lines
    noise = 100 * values[0].std(ddof=1)
    assert f"standard deviation between seeds, pooled: {noise:.2f} points" in lines
