"""Two-level fractional factorial designs of resolution IV."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnet_sweep.config.errors import require

Design = NDArray[np.int8]
MAX_RUNS = 128
LETTERS = "ABCDEFG"


def words(num_runs: int, num_factors: int) -> list[str]:
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


def fractional_factorial(num_runs: int, num_factors: int) -> Design:
    """Return the levels, -1 or 1: int8 [num_runs, num_factors].

    Raises:
        UserError: as in `words`.
    """
    power = num_runs.bit_length() - 1
    chosen = words(num_runs, num_factors)
    numbers = np.arange(num_runs)
    basic = {LETTERS[i]: 2 * (numbers >> i & 1) - 1 for i in range(power)}
    columns = [np.prod([basic[letter] for letter in word], axis=0) for word in chosen]
    return np.stack(columns, axis=1).astype(np.int8)


def alias_strings(design: Design) -> list[list[tuple[int, int]]]:
    """Return the pairs of factors whose two-factor interactions are one and the same contrast.

    Pairs whose products differ only in sign belong together as well.
    """
    found: dict[bytes, list[tuple[int, int]]] = {}
    for i, j in combinations(range(design.shape[1]), 2):
        found.setdefault(_key(design[:, i] * design[:, j]), []).append((i, j))
    return list(found.values())


def num_three_factor_aliases(design: Design) -> list[int]:
    """Return for each main effect how many interactions of three other factors equal it."""
    place = {_key(column): k for k, column in enumerate(design.T)}
    counts = [0] * design.shape[1]
    for triple in combinations(range(design.shape[1]), 3):
        k = place.get(_key(design[:, list(triple)].prod(axis=1)))
        if k is not None:
            counts[k] += 1
    return counts


def _key(column: NDArray[np.integer[Any]]) -> bytes:
    """Return the same for a contrast and its opposite."""
    return bytes((column * column[0]).astype(np.int8))
