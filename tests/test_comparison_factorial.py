"""Designs against their definition and a Hadamard matrix; effects against SciPy and known truth."""

from __future__ import annotations

import math
from collections import Counter
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from scipy.linalg import hadamard

from resnet_sweep.comparison.factorial import (
    Effects,
    Levels,
    alias_strings,
    estimate,
    fractional_factorial,
    generators,
    lenth_error,
    num_three_factor_aliases,
)
from resnet_sweep.config.errors import UserError
from resnet_sweep.records.comparison import Row

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
        assert effect.gain == pytest.approx(high.mean() - low.mean())
    pooled = np.sqrt(values.var(axis=1, ddof=1).mean())
    assert found.errors == pytest.approx(2 * pooled / np.sqrt(96)) and found.degrees == 64
    sidak = stats.t.ppf((1 + 0.95 ** (1 / 16)) / 2, 64) * found.errors[2]
    effect = found.main[2]
    assert (effect.all_low, effect.all_high) == pytest.approx(
        (effect.gain - sidak, effect.gain + sidak)
    )
    plain = stats.t.ppf(0.975, 64) * found.errors[2]
    assert effect.gain_high - effect.gain == pytest.approx(plain)
    single = 2 * stats.t.sf(abs(effect.gain) / found.errors[2], 64)
    assert effect.p_value == pytest.approx(single)
    assert effect.all_p_value == pytest.approx(1 - (1 - single) ** 16, abs=1e-12)
    assert [e.name for e in found.main if e.verdict == "better"] == ["f2"]


def test_lenths_error_follows_its_two_medians() -> None:
    effects = np.array([-3.0, 0.1, 0.2, -0.3, 0.4, -0.5, 20.0])
    first = 1.5 * np.median(np.abs(effects))  # 0.6: 3 and 20 lie beyond 2.5 times that
    assert first == pytest.approx(0.6)
    assert lenth_error(effects) == pytest.approx(1.5 * np.median([0.1, 0.2, 0.3, 0.4, 0.5]))
    found = estimate(NAMES, DESIGN, _noisy(1, 1, f5=-0.08))
    assert found.method.startswith("Lenth") and found.degrees == pytest.approx(31 / 3)
    assert [e.name for e in found.main if e.verdict == "worse"] == ["f5"]


@pytest.mark.slow
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
    assert [effect.gain for effect in found.main] == pytest.approx(list(expected))
    assert found.degrees == 30 and found.main[0].n == 61 and not found.interactions


def test_too_few_runs_say_so() -> None:
    values = _noisy(4, 1)
    values[3] = np.nan
    found = estimate(NAMES, DESIGN, values)
    assert np.isnan(found.errors).all() and {e.verdict for e in found.main} == {"undecided"}
    values[:20] = np.nan
    assert {e.verdict for e in estimate(NAMES, DESIGN, values).main} == {"undecided"}


def test_what_failed_runs_leave_untold_is_untold_alone() -> None:
    """Every run with the first change failed: the other fifteen effects are measured."""
    values = _noisy(5, 2, f1=0.06)
    values[DESIGN[:, 0] > 0] = np.nan
    found = estimate(NAMES, DESIGN, values)
    assert math.isnan(found.main[0].gain) and np.isfinite([e.gain for e in found.main[1:]]).all()
    assert found.main[1].verdict == "better" and "f0" not in found.survivors()
    kept = values[DESIGN[:, 0] < 0]
    matrix: Any = np.column_stack([np.ones(32), DESIGN[DESIGN[:, 0] < 0].repeat(2, axis=0)[:, 1:]])
    expected = 2 * np.linalg.lstsq(matrix, kept.ravel())[0][1:]
    assert [e.gain for e in found.main[1:]] == pytest.approx(list(expected))


def test_the_errors_of_a_design_with_failed_runs_are_those_of_least_squares() -> None:
    values = _noisy(6, 2)
    values[[0, 3, 5, 9, 17]] = np.nan
    found = estimate(NAMES, DESIGN, values)
    rows, _ = np.nonzero(np.isfinite(values))
    matrix: Any = np.column_stack([np.ones(len(rows)), DESIGN[rows]])
    variance = values[np.isfinite(values).all(axis=1)].var(axis=1, ddof=1).mean()
    covariance = np.linalg.inv(matrix.T @ matrix) * variance
    assert found.errors == pytest.approx(2 * np.sqrt(np.diag(covariance))[1:])
    assert (found.errors > 2 * np.sqrt(variance / len(rows))).all()  # that of a whole design


SIZES = [(8, 4), (16, 5), (16, 8), (32, 6), (32, 15), (32, 16), (64, 20)]


@pytest.mark.parametrize(("runs", "factors"), SIZES)
def test_any_three_factors_are_a_full_factorial(runs: int, factors: int) -> None:
    """An orthogonal array of strength 3 is a design of resolution IV (Rao 1947)."""
    design = fractional_factorial(runs, factors)
    assert design.shape == (runs, factors) and len(np.unique(design, axis=0)) == runs
    for triple in combinations(range(factors), min(3, factors)):
        counts = Counter(map(tuple, design[:, triple].tolist()))
        assert set(counts.values()) == {runs // 8} and len(counts) == 8


def _strings_by_algebra(generators: list[str]) -> list[list[tuple[int, int]]]:
    found: dict[frozenset[str], list[tuple[int, int]]] = {}
    for i, j in combinations(range(len(generators)), 2):
        product = frozenset(generators[i]) ^ frozenset(generators[j])
        found.setdefault(product, []).append((i, j))
    return list(found.values())


@pytest.mark.parametrize(("runs", "factors"), SIZES)
def test_aliases_are_those_of_the_generators(runs: int, factors: int) -> None:
    words = generators(runs, factors)
    design = fractional_factorial(runs, factors)
    assert sorted(alias_strings(design)) == sorted(_strings_by_algebra(words))
    triples = [frozenset(a) ^ frozenset(b) ^ frozenset(c) for a, b, c in combinations(words, 3)]
    assert num_three_factor_aliases(design) == [triples.count(frozenset(w)) for w in words]


def _profile(design: Levels) -> Counter[int]:
    """Return how often each sum over the runs of a product of four columns occurs."""
    sums = (abs(int(design[:, q].prod(axis=1).sum())) for q in combinations(range(16), 4))
    return Counter(sums)


def test_sixteen_in_32_runs_is_the_fold_over_of_a_hadamard_matrix() -> None:
    """Box and Wilson's fold-over is another way to the one 2^(16-11) design of resolution IV."""
    square = hadamard(16)
    folded = np.vstack([square, -square]).astype(np.int8)
    assert _profile(fractional_factorial(32, 16)) == _profile(folded)
    assert sorted(map(len, alias_strings(folded))) == [8] * 15


def test_a_matrix_that_is_no_such_design_is_seen() -> None:
    design = fractional_factorial(32, 16)
    design[:, 1] = design[:, 0] * design[:, 2]  # a main effect aliased with an interaction
    assert sorted(map(len, alias_strings(design))) != [8] * 15


@pytest.mark.parametrize(
    ("runs", "factors", "said"),
    [
        (12, 4, "runs=12: must be a power of two, from 4 to 128"),
        (2, 1, "from 4 to 128"),
        (32, 17, "runs=32: must be at least 34 for 17 factors"),
    ],
)
def test_impossible_sizes_are_refused(runs: int, factors: int, said: str) -> None:
    with pytest.raises(UserError, match=said):
        fractional_factorial(runs, factors)


@pytest.mark.parametrize(("size", "chance"), [(0, 1 / 6), (2, 5 / 6), (3, 43 / 44)])
def test_the_stated_chances_of_surviving_are_those_of_a_normal_effect(
    size: int, chance: float
) -> None:
    """Of changes whose true effect is so many standard errors."""
    draws = np.random.default_rng(0).normal(0.01 * size, 0.01, 40_000)
    rows = [Row(str(k), 32, "", gain=gain) for k, gain in enumerate(draws.tolist())]
    found = Effects(rows, [], np.full(len(rows), 0.01), 16, "")
    assert len(found.survivors()) / len(draws) == pytest.approx(chance, abs=0.01)
    without_noise = Effects(rows, [], np.full(len(rows), math.nan), math.nan, "none")
    assert len(without_noise.survivors()) == (draws > 0).sum()
