"""A hyperparameter that matters comes first; one that does nothing stays under the floors."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from generated_runs import write_sweep
from scipy import stats

from resnet_sweep.analysis.importance import measure_importance
from resnet_sweep.analysis.objective import Objective
from resnet_sweep.analysis.parameters import (
    Parameter,
    Population,
    coverage_remarks,
    make_parameter,
    population_of_runs,
    proposals_of_sweep,
)
from resnet_sweep.records.sweep_folder import SweepTrial, read_sweep, write_sweep_trials
from resnet_sweep.reporting.statistics import Noise

UNKNOWN = Noise(float("nan"), 0)
ACCURACY = Objective("val_accuracy", 1)


def make_population(
    columns: dict[str, Any], y: np.ndarray, sampler: str | None = None
) -> Population:
    parameters = []
    for name, values in columns.items():
        column = pd.Series(values)
        is_numeric = pd.api.types.is_numeric_dtype(column)
        parameters.append(Parameter(name, column, is_numeric))
    order = pd.Series(range(len(y)))
    return Population("test", pd.Series(y), parameters, order, sampler, 10)


def draw(seed: int, n: int = 80) -> tuple[dict[str, Any], np.ndarray]:
    """Return a choice, a number in only one branch, one in all and two that do nothing."""
    generator = np.random.default_rng(seed)
    choice = generator.choice(["sgd", "adamw"], n)
    x, idle = generator.uniform(-1, 1, (2, n))
    inside = np.where(choice == "sgd", generator.uniform(-1, 1, n), np.nan)
    noise = generator.normal(0, 0.3, n)
    y = 2 * (choice == "sgd") - x**2 + np.where(choice == "sgd", inside, 0) + noise
    columns = {
        "choice": choice,
        "inside@sgd": inside,
        "x": x,
        "idle": idle,
        "level": generator.choice(["p", "q", "r"], n),
    }
    return columns, y


def test_f_tests_equal_ordinary_least_squares() -> None:
    columns, y = draw(0)
    found = measure_importance(make_population(columns, y), UNKNOWN)
    inside = columns["inside@sgd"] - np.nanmean(columns["inside@sgd"])  # judged in its branch
    inside = inside / np.nanmax(np.abs(inside))
    blocks = {
        "choice": [columns["choice"] == "sgd"],
        "inside@sgd": [np.nan_to_num(inside), np.nan_to_num(inside**2 - np.nanmean(inside**2))],
        "x": [columns["x"], columns["x"] ** 2],
        "idle": [columns["idle"], columns["idle"] ** 2],
        "level": [columns["level"] == "p", columns["level"] == "q"],
    }

    def residual(names: list[str]) -> tuple[float, int]:
        matrix = np.column_stack([np.ones(len(y)), *(c for n in names for c in blocks[n])])
        coefficients = np.linalg.lstsq(matrix.astype(float), y, rcond=None)[0]
        return float(((y - matrix @ coefficients) ** 2).sum()), matrix.shape[1]

    full, columns_of_full = residual(list(blocks))
    degrees = len(y) - columns_of_full
    raw = {}
    for test in found.tests:
        name = test.parameter.name
        without, columns_without = residual([n for n in blocks if n != name])
        k = columns_of_full - columns_without
        assert test.degrees == k
        assert test.effect == pytest.approx((without - full) / without)
        raw[name] = stats.f.sf((without - full) / k / (full / degrees), k, degrees)
    least = 0.0
    adjusted = {test.parameter.name: test.p_value for test in found.tests}
    for rank, name in enumerate(sorted(raw, key=lambda name: raw[name])):
        least = min(1.0, max(least, (len(raw) - rank) * raw[name]))
        assert adjusted[name] == pytest.approx(least)


def test_what_matters_comes_first_and_what_does_nothing_stays_below() -> None:
    for seed in range(5):
        found = measure_importance(make_population(*draw(seed)), UNKNOWN)
        matter = [test.parameter.name for test in found.tests if test.matters]
        assert matter[0] == "choice" and set(matter) == {"choice", "inside@sgd", "x"}
        for test in found.tests:
            if test.parameter.name in ("idle", "level"):
                assert test.effect < test.permutation_floor


def test_false_alarms_are_as_rare_as_promised() -> None:
    alarms = 0
    for seed in range(60):
        columns, _ = draw(seed, n=60)
        y = np.random.default_rng(1000 + seed).normal(size=60)
        found = measure_importance(make_population(columns, y), UNKNOWN)
        alarms += any(test.matters for test in found.tests)
    assert alarms <= 8  # expected 3; more than 8 in 0.4% of such tests


def test_effects_below_the_seed_noise_never_matter() -> None:
    columns, y = draw(0)
    loud = measure_importance(make_population(columns, y), Noise(10.0, 4))
    assert not any(test.matters for test in loud.tests)
    quiet = measure_importance(make_population(columns, y), Noise(0.01, 4))
    assert [t.parameter.name for t in quiet.tests if t.matters] == ["choice", "inside@sgd", "x"]
    assert all(test.noise_floor < test.permutation_floor for test in quiet.tests)


def test_two_odd_configurations_never_make_a_hyperparameter_matter() -> None:
    columns, y = draw(0)
    columns["odd"] = np.array(["a"] * 78 + ["b"] * 2)
    y = y + 50 * (columns["odd"] == "b")
    tests = {
        t.parameter.name: t for t in measure_importance(make_population(columns, y), UNKNOWN).tests
    }
    assert tests["odd"].p_value < 1e-6 and tests["odd"].effect > tests["odd"].permutation_floor
    assert tests["odd"].is_thin and not tests["odd"].matters and tests["choice"].matters


def test_too_few_configurations_cannot_tell_and_as_many_as_it_says_can() -> None:
    for n in (8, 13):  # fewer than the model has columns, and more
        columns, y = draw(0, n=n)
        columns |= {f"more {i}": np.random.default_rng(i).uniform(0, 1, n) for i in range(8)}
        found = measure_importance(make_population(columns, y), UNKNOWN)
        assert not found.tests
        wanted = int(re.findall(r"at least (\d+) are needed", str(found.reason))[0])
        columns, y = draw(0, n=wanted)
        columns |= {f"more {i}": np.random.default_rng(i).uniform(0, 1, wanted) for i in range(8)}
        assert measure_importance(make_population(columns, y), UNKNOWN).model == "linear"


def test_fewer_configurations_take_the_linear_model() -> None:
    columns, y = draw(0, n=15)
    assert measure_importance(make_population(columns, y), UNKNOWN).model == "linear"


@pytest.mark.parametrize("case", ["constant", "nothing varied"])
def test_degenerate_populations_say_why(case: str) -> None:
    columns, y = draw(0)
    population = make_population(columns if case == "constant" else {}, y)
    if case == "constant":
        population = make_population(columns, np.ones(len(y)))
    found = measure_importance(population, UNKNOWN)
    assert not found.tests and found.reason


def test_hyperparameters_that_mirror_each_other_are_not_told_apart() -> None:
    x = np.arange(1.0, 31.0)
    population = make_population(
        {"up": x, "down": 31 - x}, np.random.default_rng(0).normal(size=30)
    )
    found = measure_importance(population, UNKNOWN)
    assert not found.tests and set(found.untested) == {"up", "down"} and found.reason


def test_equal_seeds_are_no_noise_floor() -> None:
    population = make_population(*draw(0))
    assert all(
        np.isnan(test.noise_floor) for test in measure_importance(population, Noise(0, 3)).tests
    )


def test_what_only_repeats_others_is_not_tested() -> None:
    columns, y = draw(0)
    columns["sum"] = columns["x"] + columns["idle"]
    columns["square"] = columns["sum"] ** 2
    found = measure_importance(make_population(columns, y), UNKNOWN)
    assert all(test.degrees > 0 for test in found.tests)


def test_a_sampler_that_stayed_where_it_liked_is_told() -> None:
    n = 60
    generator = np.random.default_rng(0)
    narrow = np.concatenate([np.linspace(0, 1, 10), generator.normal(0.5, 0.02, n - 10)])
    wide = generator.uniform(0, 1, n)
    choice = np.array(["a"] * 55 + ["b"] * 5)
    columns = {"narrow": narrow, "wide": wide, "choice": choice}
    proposals = make_population(columns, wide, sampler="TPESampler")
    remarks = coverage_remarks(proposals, proposals)
    assert "stayed in" in remarks["narrow"][0] and "wide" not in remarks
    assert remarks["choice"] == [
        "the sampler chose a in 90% of its 50 proposals after the random ones"
    ]
    at_random = make_population(columns, wide, sampler="RandomSampler")
    assert "narrow" not in coverage_remarks(at_random, at_random)


def test_the_samplers_preference_counts_every_proposal(tmp_path: Path) -> None:
    """adamw and sgd completed equally often, but nearly all proposals were sgd and pruned."""
    write_sweep(tmp_path / "s", trials=0)
    optimizers = ["adamw"] * 10 + ["sgd"] * 10 + ["sgd"] * 60
    trials = [
        SweepTrial(
            number,
            "completed" if number < 20 else ("pruned", "rejected", "failed")[number % 3],
            params={"optimizer": name, "regularization.dropout": number / 400},
            run_dir=f"runs/{number}",
        )
        for number, name in enumerate(optimizers)
    ]
    write_sweep_trials(tmp_path / "s", trials)
    proposals = proposals_of_sweep(read_sweep(tmp_path / "s"))
    assert len(proposals.objective) == 80
    done = replace(
        proposals,
        objective=proposals.objective[:20],
        order=proposals.order[:20],
        parameters=[replace(p, values=p.values[:20]) for p in proposals.parameters],
    )
    assert coverage_remarks(done) == {}
    remarks = coverage_remarks(done, proposals)
    # 16 start-up trials are the first 16 that ended; all that follow were the sampler's.
    assert remarks["optimizer"] == [
        "the sampler chose sgd in 100% of its 64 proposals after the random ones"
    ]


def test_a_level_that_was_hardly_tried_is_told() -> None:
    columns = {"choice": np.array(["a"] * 28 + ["b"] * 2)}
    remarks = coverage_remarks(make_population(columns, np.arange(30.0)))
    assert remarks == {"choice": ["b in only 2 of 30 configurations"]}
    numbers = {"width": np.array([8.0] * 27 + [4.0, 12.0, 16.0]), "lr": np.arange(30.0)}
    remarks = coverage_remarks(make_population(numbers, np.arange(30.0)))
    assert remarks == {"width": ["8 in all but 3 of 30 configurations"]}


def make_runs(settings: dict[str, list[Any]]) -> pd.DataFrame:
    n = len(next(iter(settings.values())))
    base = {
        "status": ["completed"] * n,
        "configuration": [str(i) for i in range(n)],
        "seed": [0] * n,
        "rung": pd.Series([None] * n, dtype="Int64"),
        "val_accuracy": np.linspace(0, 1, n),
        "augmentation": ["none"] * n,
    }
    return pd.DataFrame({**base, **settings})


def test_settings_become_parameters_by_branch_and_scale() -> None:
    runs = make_runs(
        {
            "optimizer": ["sgd", "adamw"] * 10,
            "optimizer.lr": [0.1 * (i + 1) if i % 2 == 0 else 1e-4 * 2**i for i in range(20)],
            "optimizer.momentum": [0.8 + i / 100 if i % 2 == 0 else np.nan for i in range(20)],
            "model.base_width": [16, 16, 32, 32] * 5,
            "model.label": ["narrow", "narrow", "wide", "wide"] * 5,
            "data.root": [f"/{i}" for i in range(20)],
            "model.blocks": [f"[{i % 3}, {i % 4}, {i % 5}]" for i in range(20)],
            "regularization.clip_grad_norm": [np.nan if i % 3 else 0.1 + i for i in range(20)],
        }
    )
    found = {p.name: p for p in population_of_runs(runs, ACCURACY).parameters}
    assert {"optimizer.lr@sgd", "optimizer.lr@adamw", "model.blocks[0]"} <= set(found)
    assert found["optimizer.lr@adamw"].is_log and not found["optimizer.lr@sgd"].is_log
    assert found["optimizer.lr@sgd"].present().sum() == 10
    assert found["optimizer.lr@sgd"].aliases == ("optimizer.momentum@sgd",)
    assert found["model.base_width"].aliases == ("model.label",)
    assert "regularization.clip_grad_norm (set)" in found
    assert not any("root" in name or name == "model.blocks" for name in found)


def test_a_sweeps_ranges_decide_the_scale() -> None:
    rows = [{"a": 10.0**-i, "b": 2.0**i, "c": i % 2 == 0} for i in range(6)]
    columns = {k: pd.Series([row[k] for row in rows]) for k in rows[0]}
    linear = make_parameter("a", columns["a"], False, rows)
    assert make_parameter("a", columns["a"], True, rows).is_log
    assert linear.is_log and make_parameter("b", columns["b"], False, rows).is_log  # equal ratios
    assert not make_parameter("c", columns["c"], False, rows).is_numeric
    some = pd.Series([0.1, 0.4, 0.5, 0.55, 1.0, 4.0])
    assert not make_parameter("a", some, False, rows).is_log


def test_a_drawn_null_is_a_level_and_an_absent_parameter_is_missing() -> None:
    rows: list[dict[str, Any]] = [{"p": None}, {"p": 4}, {}, {"p": ["a", "b"]}]
    values = pd.Series([row.get("p") for row in rows])
    found = make_parameter("p", values, False, rows)
    assert found.values.tolist()[:2] == ["null", "4"] and found.values[3] == "a+b"
    assert found.present().tolist() == [True, True, False, True]
