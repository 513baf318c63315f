"""Designs against their definition, and against the fold-over of a Hadamard matrix."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from scipy.linalg import hadamard

from resnet_sweep.comparison.design import (
    Design,
    alias_strings,
    fractional_factorial,
    num_three_factor_aliases,
    words,
)
from resnet_sweep.config.errors import UserError

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
    generators = words(runs, factors)
    design = fractional_factorial(runs, factors)
    assert sorted(alias_strings(design)) == sorted(_strings_by_algebra(generators))
    triples = [
        frozenset(a) ^ frozenset(b) ^ frozenset(c) for a, b, c in combinations(generators, 3)
    ]
    assert num_three_factor_aliases(design) == [triples.count(frozenset(w)) for w in generators]


def _profile(design: Design) -> Counter[int]:
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
