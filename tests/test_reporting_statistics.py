"""Intervals and tests against scipy.stats; grouping of seeds against a plain loop."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from generated_runs import LABELS, make_predictions, write_run
from scipy import stats

from resnet_sweep.analysis import compare_configurations, compare_runs, figures, load_runs
from resnet_sweep.analysis.answers import noise_answers
from resnet_sweep.analysis.archive import read_archive
from resnet_sweep.analysis.configurations import describe, group_seeds
from resnet_sweep.analysis.objective import Objective, choose_objective
from resnet_sweep.analysis.runs import runs_table
from resnet_sweep.analysis.summary.command import main
from resnet_sweep.analysis.view import View, build_view
from resnet_sweep.config.errors import UserError
from resnet_sweep.reporting.statistics import (
    Noise,
    holm,
    mcnemar_test,
    mean_interval,
    paired_t_test,
    pooled_noise,
    welch_test,
)

ACCURACY = Objective("val_accuracy", 1)
GENERATOR = np.random.default_rng(0)


def test_the_interval_is_students() -> None:
    values = GENERATOR.normal(0.9, 0.01, 7)
    interval = mean_interval(values)
    expected = stats.t.interval(0.95, 6, values.mean(), stats.sem(values))
    np.testing.assert_allclose((interval.low, interval.high), expected)
    assert (interval.n, interval.sd) == (7, values.std(ddof=1))


def test_without_scatter_there_is_no_interval() -> None:
    interval = mean_interval([0.5])
    assert interval.mean == 0.5 and math.isnan(interval.sd) and math.isnan(interval.low)
    interval = mean_interval([0.9917] * 6)
    assert interval.mean == pytest.approx(0.9917) and interval.sd == 0
    assert math.isnan(interval.low) and math.isnan(interval.high)


def test_paired_t() -> None:
    first = GENERATOR.normal(0.9, 0.01, 6)
    second = first - GENERATOR.normal(0.005, 0.004, 6)
    found, expected = paired_t_test(first, second), stats.ttest_rel(first, second)
    assert found.p_value == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval()
    np.testing.assert_allclose((found.low, found.high), (interval.low, interval.high))
    differences = first - second
    assert found.effect == pytest.approx(differences.mean() / differences.std(ddof=1))


def test_welch() -> None:
    first, second = GENERATOR.normal(0.9, 0.02, 5), GENERATOR.normal(0.88, 0.004, 8)
    found = welch_test(first, second)
    expected = stats.ttest_ind(first, second, equal_var=False)
    assert found.p_value == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval()
    np.testing.assert_allclose((found.low, found.high), (interval.low, interval.high))
    pooled = math.sqrt((4 * first.var(ddof=1) + 7 * second.var(ddof=1)) / 11)
    hedges = (first.mean() - second.mean()) / pooled * (1 - 3 / (4 * 13 - 9))
    assert found.effect == pytest.approx(hedges)


@pytest.mark.parametrize("test", [paired_t_test, welch_test])
def test_values_without_scatter_tell_nothing(test: object) -> None:
    same = np.array([0.5, 0.5, 0.5])
    for other in (same, same + 0.25):
        found = test(other, same)  # type: ignore[operator]
        assert found.difference == other[0] - 0.5 and np.isnan([found.p_value, found.high]).all()


def test_mcnemar_is_the_exact_binomial_test() -> None:
    first, second = GENERATOR.random(500) < 0.9, GENERATOR.random(500) < 0.85
    found = mcnemar_test(first, second)
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    expected = stats.binomtest(only_first, only_first + only_second).pvalue
    assert found.p_value == pytest.approx(expected)
    assert found.difference == pytest.approx(first.mean() - second.mean())
    error = math.sqrt(only_first + only_second - (only_first - only_second) ** 2 / 500) / 500
    normal = (found.difference - 1.96 * error, found.difference + 1.96 * error)
    np.testing.assert_allclose((found.low, found.high), normal, atol=0.004)


def test_mcnemar_of_a_net_with_itself() -> None:
    correct = GENERATOR.random(50) < 0.5
    found = mcnemar_test(correct, correct)
    assert (found.difference, found.p_value, -found.low) == (0, 1, found.high)
    assert (1 - found.high) ** 50 == pytest.approx(0.025)


@pytest.mark.parametrize(("only_first", "only_second"), [(5, 0), (6, 0), (9, 2), (10, 1), (40, 70)])
def test_mcnemars_interval_holds_zero_where_the_test_is_not_significant(
    only_first: int, only_second: int
) -> None:
    first = np.array([True] * only_first + [False] * only_second + [True] * 89)
    second = np.array([False] * only_first + [True] * only_second + [True] * 89)
    found = mcnemar_test(first, second)
    assert (found.low <= 0 <= found.high) == (found.p_value >= 0.05)
    assert found.low <= found.difference <= found.high


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_pooled_noise_finds_the_true_one() -> None:
    groups = [GENERATOR.normal(i, 0.3, 4) for i in range(400)]
    noise = pooled_noise(groups)
    assert noise.degrees == 1200 and noise.sd == pytest.approx(0.3, rel=0.07)
    differences = np.diff(GENERATOR.normal(0, 0.3, (4000, 2)))
    passed = (np.abs(differences) > noise.least_difference(1, 1)).mean()
    assert passed == pytest.approx(0.05, abs=0.012)


def test_no_repeats_no_noise() -> None:
    assert math.isnan(pooled_noise([[1.0]]).least_difference(1, 1))
    assert math.isnan(pooled_noise([[0.8, 0.8]]).least_difference(1, 1))  # too few to show it


@pytest.fixture
def seeds(tmp_path: Path) -> Path:
    for seed, accuracy in enumerate((0.80, 0.81, 0.82)):
        write_run(tmp_path / f"a{seed}", accuracy, {"seed": seed}, test_accuracy=0.79)
        write_run(tmp_path / f"b{seed}", accuracy - 0.002, {"seed": seed, "optimizer.lr": 0.2})
    write_run(tmp_path / "c", 0.7, {"optimizer.lr": 0.3})
    write_run(tmp_path / "a_again", 0.81, {"seed": 1}, test_accuracy=0.79)
    write_run(tmp_path / "lost", float("nan"), {"seed": 9}, status="diverged")
    write_run(tmp_path / "pruned", 0.99, {"seed": 8}, status="pruned")
    return tmp_path


def test_seeds_are_grouped_and_a_repeated_seed_counts_once(seeds: Path) -> None:
    found = group_seeds(load_runs(seeds), ACCURACY)
    assert found.table["n"].tolist() == [3, 3, 1]
    assert found.table["mean"].tolist() == pytest.approx([0.81, 0.808, 0.7])
    assert found.table["sd"].tolist()[:2] == pytest.approx([0.01, 0.01])
    assert found.noise == Noise(pytest.approx(0.01), 4, 2)
    half = stats.t.ppf(0.975, 2) * 0.01 / math.sqrt(3)
    assert found.table["high"].tolist()[:2] == pytest.approx([0.81 + half, 0.808 + half])
    least = stats.t.ppf(0.975, 4) * 0.01 * math.sqrt(2 / 3)
    assert least > 0.002 and found.table["within_noise"].tolist()[1:] == [True, False]
    assert found.table["gap"].tolist()[0] == pytest.approx(0.81 - 0.79, abs=1e-3)


def test_a_net_near_chance_does_not_set_the_noise_among_good_ones(tmp_path: Path) -> None:
    for seed in range(6):
        write_run(tmp_path / f"a{seed}", 0.80 + 0.001 * seed, {"seed": seed})
        write_run(tmp_path / f"b{seed}", 0.10 + 0.03 * seed, {"seed": seed, "optimizer.lr": 0.2})
    for number in range(4):
        write_run(tmp_path / f"c{number}", 0.7, {"optimizer.lr": 0.3 + 0.1 * number})
    found = group_seeds(load_runs(tmp_path), ACCURACY)
    sd = float(np.std(np.arange(6), ddof=1))
    assert found.noise.sd == pytest.approx(0.001 * sd) and found.noise.degrees == 5
    both = math.sqrt((0.001**2 + 0.03**2) / 2) * sd
    assert found.noise_of_all.sd == pytest.approx(both) and found.noise_of_all.degrees == 10
    assert found.repeated["pooled"].tolist() == [True, False]
    said = " ".join(noise_answers(build_view_of(tmp_path)))
    assert "not pooled, since worse than the median configuration: 0.056 at 0.1750 (n = 6)" in said


def build_view_of(root: Path) -> View:
    archive = read_archive(root)
    return build_view(archive, runs_table(archive), ACCURACY)


def test_configurations_with_the_same_seeds_are_paired(seeds: Path) -> None:
    runs = load_runs(seeds)
    first, second, third = group_seeds(runs, ACCURACY).table["configuration"]
    found = compare_configurations(runs, first, second, ACCURACY)
    assert found.test.startswith("paired") and found.difference == pytest.approx(0.002)
    with pytest.raises(UserError, match="has 1 seeds"):
        compare_configurations(runs, first, third, ACCURACY)


@pytest.mark.slow
def test_two_configurations_are_compared_by_their_ids(
    seeds: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "FIGURES", ())
    first, second, third = group_seeds(load_runs(seeds), ACCURACY).table["configuration"]
    main([str(seeds), "--compare", first, second])
    printed = " ".join(capsys.readouterr().out.split())
    assert f"{first} against {second}: difference +0.2 points" in printed
    assert "the same in all 3 seeds, which show no noise to judge it by" in printed
    differing = paired_t_test(np.array([0.8, 0.82, 0.81]), np.array([0.79, 0.8, 0.8]))
    assert "(paired t test over seeds, n = 3)" in describe(differing, ACCURACY)
    with pytest.raises(SystemExit) as error:
        main([str(seeds), "--compare", first, third])
    assert error.value.code == 2
    assert f"configuration {third}: has 1 seeds, a test needs 2" in capsys.readouterr().err
    with pytest.raises(SystemExit) as error:
        main([str(seeds), "--compare", first, "a0"])
    assert error.value.code == 2 and "name two of one kind" in capsys.readouterr().err


def test_configurations_with_other_seeds_are_not(seeds: Path) -> None:
    write_run(seeds / "b9", 0.80, {"seed": 9, "optimizer.lr": 0.2})
    runs = load_runs(seeds)
    first, second = group_seeds(runs, ACCURACY).table["configuration"][:2]
    found = compare_configurations(runs, first, second, ACCURACY)
    expected = stats.ttest_ind([0.8, 0.81, 0.82], [0.798, 0.808, 0.818, 0.8], equal_var=False)
    assert found.p_value == pytest.approx(expected.pvalue)


def test_runs_are_compared_on_the_same_images(tmp_path: Path) -> None:
    right = GENERATOR.random((2, len(LABELS))) < [[0.9], [0.7]]
    for name, correct in zip("ab", right, strict=True):
        write_run(tmp_path / name, predictions=make_predictions(correct))
    found = compare_runs(tmp_path / "a", tmp_path / "b")
    assert found.difference == pytest.approx(right[0].mean() - right[1].mean())
    other = make_predictions(right[0])
    other.indices[:] += 1
    write_run(tmp_path / "other", predictions=other)
    with pytest.raises(UserError, match="not validated on the same images"):
        compare_runs(tmp_path / "a", tmp_path / "other")
    write_run(tmp_path / "none")
    with pytest.raises(UserError, match="val_predictions"):
        compare_runs(tmp_path / "a", tmp_path / "none")


@pytest.mark.parametrize("name", ["test_accuracy", "test_loss", "run", "nonsense"])
def test_what_may_not_order_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=f"objective={name}"):
        choose_objective(name, [], pd.DataFrame({name: [0.5]}))
