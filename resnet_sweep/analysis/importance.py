"""Which hyperparameters matter: additive F-tests on a quadratic model, and two floors.

Each hyperparameter adds its own term to one linear model: a number x gives x and x squared
(of its logarithm where the ratio counts), a choice one column for each level but one, and a
conditional hyperparameter columns that are zero outside its branch, so that it is judged
inside it. A term's partial sum of squares is what the model loses without it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtri, fdtrc, fdtri

from resnet_sweep.analysis.parameters import MAX_LEVELS, Parameter, Population
from resnet_sweep.reporting.statistics import SIGNIFICANCE, Array, Noise, holm

F_TEST_PERMUTATIONS = 500
MIN_RESIDUAL = 8
MIN_CONFIGURATIONS = 8
MIN_OTHERS = 3
# A smaller share of a sum of squares is rounding: some objectives are exact functions.
ROUNDING = 1e-12


@dataclass(frozen=True)
class FTest:
    """One hyperparameter's part in the additive model.

    Args:
        degrees: columns that only this hyperparameter explains.
        effect: partial eta squared: its sum of squares over that plus the residual one.
        p_value: of the F-test, adjusted for many tests (Holm).
        permutation_floor: partial eta squared that the best of all hyperparameters reaches in
            5% of permutations of the objective, at this one's degrees of freedom.
        noise_floor: that seed noise alone passes in 5%; NaN where it is not known.
        is_thin: nearly all configurations have the same value, so that the few others stand
            for whatever else they have in common.
        matters: significant, above both floors and not thin.
    """

    parameter: Parameter
    degrees: int
    effect: float
    p_value: float
    permutation_floor: float
    noise_floor: float
    is_thin: bool = False

    @property
    def matters(self) -> bool:
        floor = np.nanmax([self.permutation_floor, self.noise_floor])
        return bool(self.p_value < SIGNIFICANCE and self.effect > floor and not self.is_thin)


@dataclass(frozen=True)
class Importance:
    """The tests, those that matter first, each part by effect; or why there are none.

    Args:
        model: `quadratic`, or `linear` where there are too few configurations.
        untested: names that nothing tells apart from the others.
        reason: why nothing could be tested.
    """

    tests: list[FTest]
    num_configurations: int
    model: str = ""
    untested: tuple[str, ...] = ()
    reason: str | None = None


def measure_importance(population: Population, noise: Noise) -> Importance:
    """Test every hyperparameter of a population.

    Args:
        noise: between seeds; sets the noise floor.
    """
    y = population.objective.to_numpy(np.float64)
    parameters = [each for each in population.parameters if _is_testable(each)]
    skipped = [each.name for each in population.parameters if not _is_testable(each)]
    if not parameters:
        return Importance([], len(y), reason="no hyperparameter was varied enough to be tested")
    if np.ptp(y) <= ROUNDING * np.abs(y).max():
        return Importance([], len(y), reason="all configurations have the same objective")
    for model in ("quadratic", "linear"):
        terms = [_term(each, squares=model == "quadratic") for each in parameters]
        fit = _Fit(terms, y)
        if fit.residual_degrees >= max(MIN_RESIDUAL, fit.rank // 2):
            return _test(parameters, fit, model, skipped, noise)
    # Of all columns: so few configurations can make their rank smaller.
    columns = 1 + sum(term.shape[1] for term in terms)
    reason = (
        f"{len(y)} configurations are too few to tell {len(parameters)} hyperparameters apart: "
        f"at least {columns + max(MIN_RESIDUAL, columns // 2)} are needed"
    )
    return Importance([], len(y), reason=reason)


def _is_testable(parameter: Parameter) -> bool:
    """A choice with a level for nearly every configuration names them and explains nothing."""
    levels, n = parameter.values.nunique(), int(parameter.present().sum())
    return n >= MIN_CONFIGURATIONS and (parameter.is_numeric or levels <= max(MAX_LEVELS, n // 10))


def _term(parameter: Parameter, squares: bool) -> Array:
    """Return the columns of one hyperparameter, [configurations, k]."""
    present = parameter.present().to_numpy(bool)
    if not parameter.is_numeric:
        levels = parameter.values.dropna().unique()[1:]
        return np.stack([(parameter.values == level).to_numpy(float) for level in levels], 1)
    x = parameter.scaled().to_numpy(np.float64)
    x = np.where(present, x - x[present].mean(), 0.0)
    x /= np.abs(x).max()
    if not squares or parameter.values.nunique() < 3:
        return x[:, None]
    square = np.where(present, x**2 - (x[present] ** 2).mean(), 0.0)
    return np.stack([x, square], 1)


class _Fit:
    """The full model and, for each term, the model without it, as orthonormal bases."""

    def __init__(self, terms: list[Array], y: Array) -> None:
        self.y = y
        self._full = _basis([np.ones((len(y), 1)), *terms])
        self._without = [
            _basis([np.ones((len(y), 1)), *terms[:i], *terms[i + 1 :]]) for i in range(len(terms))
        ]
        self.rank = self._full.shape[1]
        self.residual_degrees = len(y) - self.rank
        self.degrees = np.array([self.rank - basis.shape[1] for basis in self._without])

    def sums_of_squares(self, y: Array) -> tuple[Array, Array]:
        """Return the residual sum [m] and each term's [terms, m] for m objectives [n, m]."""
        explained = _squares(self._full, y)
        total = ((y - y.mean(0)) ** 2).sum(0)
        residual = total - (explained - len(y) * y.mean(0) ** 2)
        parts = np.stack([explained - _squares(basis, y) for basis in self._without])
        return np.maximum(residual, ROUNDING * total), np.maximum(parts, 0)


def _basis(columns: list[Array]) -> Array:
    left, sizes, _ = np.linalg.svd(np.concatenate(columns, 1), full_matrices=False)
    basis: Array = left[:, sizes > sizes[0] * 1e-8]
    return basis


def _squares(basis: Array, y: Array) -> Array:
    squares: Array = ((basis.T @ y) ** 2).sum(0)
    return squares


def _test(
    parameters: list[Parameter], fit: _Fit, model: str, skipped: list[str], noise: Noise
) -> Importance:
    known = fit.degrees > 0
    if not known.any():
        reason = "each of the hyperparameters follows from the others in these configurations"
        names = (*skipped, *(each.name for each in parameters))
        return Importance([], len(fit.y), untested=names, reason=reason)
    residual, parts = (each[..., 0] for each in fit.sums_of_squares(fit.y[:, None]))
    f_values = _f_values(fit, residual, parts)
    p_values = fdtrc(np.maximum(fit.degrees, 1), fit.residual_degrees, f_values)
    adjusted = np.ones(len(parameters))
    adjusted[known] = holm(p_values[known].tolist())
    floors = _permutation_floors(fit)
    tests = []
    for i in np.flatnonzero(known):
        counts = parameters[i].values.value_counts()
        test = FTest(
            parameter=parameters[i],
            degrees=int(fit.degrees[i]),
            effect=float(parts[i] / (parts[i] + residual)),
            p_value=float(adjusted[i]),
            permutation_floor=float(floors[i]),
            noise_floor=_noise_floor(int(fit.degrees[i]), float(residual), noise),
            is_thin=bool(counts.sum() - counts.iloc[0] < MIN_OTHERS),
        )
        tests.append(test)
    tests.sort(key=lambda test: (not test.matters, -test.effect))
    untested = (*skipped, *(parameters[i].name for i in np.flatnonzero(~known)))
    return Importance(tests, len(fit.y), model, untested)


def _f_values(fit: _Fit, residual: Array, parts: Array) -> Array:
    degrees = np.maximum(fit.degrees, 1).reshape(-1, *(1,) * (parts.ndim - 1))
    f_values: Array = parts / degrees / (residual / fit.residual_degrees)
    return f_values


def _permutation_floors(fit: _Fit) -> Array:
    """Return the effects that belong to the 5% quantile of the smallest p value by chance."""
    generator = np.random.default_rng(0)
    y = np.stack([generator.permutation(fit.y) for _ in range(F_TEST_PERMUTATIONS)], 1)
    residual, parts = fit.sums_of_squares(y)
    degrees = np.maximum(fit.degrees, 1)
    p_values = fdtrc(degrees[:, None], fit.residual_degrees, _f_values(fit, residual, parts))
    smallest = p_values[fit.degrees > 0].min(0)
    critical = fdtri(degrees, fit.residual_degrees, 1 - np.quantile(smallest, SIGNIFICANCE))
    scaled = critical * degrees
    floors: Array = 1 - fit.residual_degrees / (scaled + fit.residual_degrees)  # scaled may be inf
    return floors


def _noise_floor(degrees: int, residual: float, noise: Noise) -> float:
    """Return the partial eta squared of a term whose sum of squares is seed noise."""
    if not noise.is_known:
        return math.nan
    by_noise = noise.sd**2 * float(chdtri(degrees, SIGNIFICANCE))
    return by_noise / (by_noise + residual)
