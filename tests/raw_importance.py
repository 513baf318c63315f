"""Importance from the raw files: least squares and floors of chance.

Nothing is imported from the project.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

LOGS = ("optimizer.lr@sgd", "optimizer.lr@adamw", "train.batch_size")


@dataclass(frozen=True)
class Chosen:
    """The completed configurations of a sweep: what was drawn, and the mean over seeds."""

    params: list[dict[str, Any]]
    means: list[float]

    def plain(self) -> dict[str, list[Any]]:
        """Return name -> values as they are; null outside the branch."""
        names = dict.fromkeys(name for params in self.params for name in params)
        return {name: [_plain(params.get(name)) for params in self.params] for name in names}

    def columns(self) -> dict[str, list[Any]]:
        """Return the values as they are compared: logarithms where the ratio counts."""
        return {
            name: [math.log10(v) if v and name in LOGS else v for v in values]
            for name, values in self.plain().items()
        }


def _plain(value: Any) -> Any:
    return "+".join(value) if isinstance(value, list) else value


class LeastSquares:
    """The model of all terms and those without one, fitted to many objectives at once.

    Args:
        columns: name -> values; numbers give x and its square, texts one column a level; null
            outside the branch.
    """

    def __init__(self, columns: dict[str, list[Any]]) -> None:
        self._blocks = {name: _block(values) for name, values in columns.items()}
        self._n = len(next(iter(columns.values())))
        full = self._matrix(list(self._blocks))
        self.degrees = self._n - int(np.linalg.matrix_rank(full))
        self.terms = {
            name: int(np.linalg.matrix_rank(full) - np.linalg.matrix_rank(self._without(name)))
            for name in self._blocks
        }

    def residuals(self, y: np.ndarray) -> np.ndarray:
        """Return the residual sum of squares of each objective, [n, m] -> [m]."""
        return _residual(self._matrix(list(self._blocks)), y)

    def effects(self, y: np.ndarray) -> dict[str, np.ndarray]:
        """Return each term's partial eta squared of each objective, [n, m] -> [m]."""
        full = self.residuals(y)
        found = {}
        for name in self._blocks:
            without = _residual(self._without(name), y)
            found[name] = (without - full) / without
        return found

    def p_value(self, name: str, effect: np.ndarray) -> np.ndarray:
        k = self.terms[name]
        f = effect / k / ((1 - effect) / self.degrees)
        p: np.ndarray = stats.f.sf(f, k, self.degrees)
        return p

    def _without(self, name: str) -> np.ndarray:
        return self._matrix([each for each in self._blocks if each != name])

    def _matrix(self, names: list[str]) -> np.ndarray:
        return np.column_stack([np.ones(self._n), *(self._blocks[name] for name in names)])


def _residual(matrix: np.ndarray, y: np.ndarray) -> np.ndarray:
    fitted = matrix @ np.linalg.lstsq(matrix, y, rcond=None)[0]
    squares: np.ndarray = ((y - fitted) ** 2).sum(0)
    return squares


def partial_effects(
    columns: dict[str, list[Any]], y: list[float]
) -> dict[str, tuple[float, float]]:
    """Return each term's partial eta squared and raw p value."""
    fit = LeastSquares(columns)
    effects = fit.effects(np.array(y)[:, None])
    return {n: (float(e[0]), float(fit.p_value(n, e)[0])) for n, e in effects.items()}


def permutation_floors(columns: dict[str, list[Any]], y: list[float]) -> dict[str, float]:
    """Return the effect with the p value that the best term of a shuffle has in 1 of 20."""
    fit, generator = LeastSquares(columns), np.random.default_rng(0)
    shuffled = np.column_stack([generator.permutation(y) for _ in range(500)])
    effects = fit.effects(shuffled)
    luckiest = np.min([fit.p_value(name, effect) for name, effect in effects.items()], 0)
    level = np.quantile(luckiest, 0.05)
    floors = {}
    for name, k in fit.terms.items():
        scaled = k * stats.f.isf(level, k, fit.degrees)
        floors[name] = float(scaled / (scaled + fit.degrees))
    return floors


def noise_floors(columns: dict[str, list[Any]], y: list[float], sd: float) -> dict[str, float]:
    """Return the effect that seed noise alone passes in 1 of 20."""
    fit = LeastSquares(columns)
    residual = float(fit.residuals(np.array(y)[:, None])[0])
    sums = {name: sd**2 * stats.chi2.isf(0.05, k) for name, k in fit.terms.items()}
    return {name: float(each / (each + residual)) for name, each in sums.items()}


def holm(p_values: dict[str, float]) -> dict[str, float]:
    adjusted, largest = {}, 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        largest = max(largest, (len(p_values) - rank) * p_values[name])
        adjusted[name] = min(1.0, largest)
    return adjusted


def _block(values: list[Any]) -> np.ndarray:
    present = np.array([value is not None for value in values])
    if any(isinstance(value, str) for value in values):
        levels = sorted({value for value in values if value is not None})[1:]
        return np.array([[float(value == level) for level in levels] for value in values])
    x = np.array([0.0 if value is None else float(value) for value in values])
    x = np.where(present, x - x[present].mean(), 0.0)
    x /= np.abs(x).max()
    if len(set(x[present].tolist())) < 3:
        return x[:, None]
    return np.column_stack([x, np.where(present, x**2 - (x[present] ** 2).mean(), 0.0)])
