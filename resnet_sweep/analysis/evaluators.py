"""Optuna's importance measures, shown beside the F-tests with the floor of chance.

PED-ANOVA compares ranks and fANOVA explains shares of the variance: an objective that is seed
noise alone and a permuted one give the same values, so one floor stands for both.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.importance import (
    BaseImportanceEvaluator,
    FanovaImportanceEvaluator,
    PedAnovaImportanceEvaluator,
)
from optuna.trial import FrozenTrial

from resnet_sweep.analysis.objective import Objective
from resnet_sweep.analysis.parameters import MAX_LEVELS, Parameter, Population
from resnet_sweep.config.errors import UserError
from resnet_sweep.reporting.statistics import Array

PED_ANOVA_TRIALS = 1000
FANOVA_TRIALS = 300
PED_ANOVA_PERMUTATIONS = 100
FANOVA_PERMUTATIONS = 20
# With fewer the largest is taken: a 95% quantile would lie between the last two.
MIN_FOR_QUANTILE = 100
MIN_TRIALS = 20


@dataclass(frozen=True)
class Shares:
    """An evaluator's importance of each parameter, from the largest.

    Args:
        values: by name of the parameter; they add up to one.
        floor: what the luckiest parameter reaches in 5% of permutations of the objective (at most
            where there are fewer than 100), on the scale of the values; above 1 where all that
            was measured is smaller.
        permutations: of the objective, behind the floor.
    """

    method: str
    values: dict[str, float]
    floor: float
    num_trials: int
    permutations: int


def ped_anova(population: Population, objective: Objective) -> Shares | None:
    """Return PED-ANOVA's importance (arXiv:2304.10255), of at most 1,000 random trials.

    A number with at most 8 values counts as a choice. Optuna's density of a number has a bandwidth
    from its spread: best trials that agree on one of two values are a spike beside the flat density
    of all the others, an importance a hundred times that of a choice between the same two.
    """
    population = replace(population, parameters=list(map(_few_as_choice, population.parameters)))
    n = len(population.objective)
    chosen = np.random.default_rng(0).permutation(n)[:PED_ANOVA_TRIALS]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        evaluator = PedAnovaImportanceEvaluator()
    names = [each.name for each in population.parameters]
    return _measure(
        "PED-ANOVA", evaluator, population, objective, chosen, names, PED_ANOVA_PERMUTATIONS
    )


def _few_as_choice(parameter: Parameter) -> Parameter:
    if not parameter.is_numeric or parameter.values.nunique() > MAX_LEVELS:
        return parameter
    texts = parameter.values.astype("object").map(str, na_action="ignore")
    return replace(parameter, values=texts, is_numeric=False, is_log=False)


def fanova(population: Population, objective: Objective) -> Shares | None:
    """Return fANOVA's importance (Hutter et al. 2014); conditional parameters are dropped.

    Raises:
        UserError: there are more than 300 trials: it would take minutes.
    """
    n = len(population.objective)
    if n > FANOVA_TRIALS:
        raise UserError(f"fanova: takes at most {FANOVA_TRIALS} trials, there are {n}")
    names = [each.name for each in population.parameters if each.present().all()]
    evaluator = FanovaImportanceEvaluator(seed=0)
    chosen = np.arange(n)
    return _measure("fANOVA", evaluator, population, objective, chosen, names, FANOVA_PERMUTATIONS)


def _measure(
    method: str,
    evaluator: BaseImportanceEvaluator,
    population: Population,
    objective: Objective,
    chosen: npt.NDArray[np.int64],
    names: list[str],
    permutations: int,
) -> Shares | None:
    """Return nothing where there are fewer than 20 trials or two parameters, or no signal."""
    if len(chosen) < MIN_TRIALS or len(names) < 2:
        return None
    # PED-ANOVA takes a low target for a good one, whatever the study's direction.
    y = -objective.sign * population.objective.to_numpy(np.float64)[chosen]
    study = _study([p for p in population.parameters if p.name in names], y, chosen)
    values = _evaluate(evaluator, study, names, y)
    total = sum(values.values())
    if total <= 0:
        return None
    generator = np.random.default_rng(0)
    largest = [
        max(_evaluate(evaluator, study, names, generator.permutation(y)).values())
        for _ in range(permutations)
    ]
    ordered = sorted(values, key=lambda name: -values[name])
    shares = {name: values[name] / total for name in ordered}
    floor = float(np.quantile(largest, 0.95 if permutations >= MIN_FOR_QUANTILE else 1.0)) / total
    return Shares(method, shares, floor, len(y), permutations)


def floor_text(shares: Shares) -> str:
    """Return what a floor is, as a clause."""
    if shares.permutations < MIN_FOR_QUANTILE:
        return f"the largest of {shares.permutations} shuffles"
    return f"the 95% quantile of {shares.permutations} shuffles"


def _evaluate(
    evaluator: BaseImportanceEvaluator,
    study: optuna.Study,
    names: list[str],
    y: Array,
) -> dict[str, float]:
    def target(trial: FrozenTrial) -> float:
        return float(y[trial.number])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a target is taken as low is good; constants in a branch
        found = evaluator.evaluate(study, names, target=target)
    return {name: float(value) for name, value in found.items()}


def _study(parameters: list[Parameter], y: Array, chosen: npt.NDArray[np.int64]) -> optuna.Study:
    """Return an in-memory study of these configurations; low values are good."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(direction="minimize")
        distributions = {each.name: _distribution(each) for each in parameters}
        columns = {each.name: each.values.to_numpy(object)[chosen] for each in parameters}
        present = {each.name: each.present().to_numpy(bool)[chosen] for each in parameters}
        study.add_trials(
            [
                _trial(
                    {name: columns[name][i] for name in columns if present[name][i]},
                    distributions,
                    float(y[i]),
                )
                for i in range(len(y))
            ]
        )
    finally:
        optuna.logging.set_verbosity(verbosity)
    return study


def _trial(
    params: dict[str, object], distributions: dict[str, BaseDistribution], value: float
) -> FrozenTrial:
    chosen = {name: distributions[name] for name in params}
    return optuna.trial.create_trial(value=value, params=params, distributions=chosen)


def _distribution(parameter: Parameter) -> BaseDistribution:
    values = parameter.values.dropna()
    if parameter.is_numeric:
        is_log = parameter.is_log and float(values.min()) > 0
        return FloatDistribution(float(values.min()), float(values.max()), log=is_log)
    return CategoricalDistribution(sorted(values.unique()))
