"""The hyperparameters that were varied: values over configurations, scale, branch, coverage."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from resnet_sweep.analysis.objective import Objective
from resnet_sweep.analysis.runs import completed, setting_names, text_of
from resnet_sweep.records.identity import tells_apart
from resnet_sweep.records.sweep_folder import Sweep, SweepTrial

MAX_LEVELS = 8
LOG_RATIO = 20.0
NO_VALUE = "null"
UNGUIDED = ("random", "grid", "qmc", "bruteforce")
# Groups whose options each give a setting of one name their own meaning and range.
BRANCHES = ("optimizer", "scheduler")
BRANCHED_SETTINGS = {"regularization.weight_decay": "optimizer"}
MIN_CONFIGURATIONS = 10
MIN_PER_LEVEL = 5
CENTRAL_SHARE = 0.8
NARROW = 0.3
LATE_TRIALS = 20


@dataclass(frozen=True)
class Parameter:
    """A hyperparameter over the configurations of a population.

    Args:
        name: as in the sweep's space, or the setting's; `optimizer.lr@sgd` within a branch.
        values: numbers or texts, one for each configuration; missing outside its branch.
        is_numeric: numbers, with an order; otherwise texts.
        is_log: numbers that are compared by their ratio.
        aliases: others that tell the configurations apart in the same way.
    """

    name: str
    values: pd.Series[Any]
    is_numeric: bool
    is_log: bool = False
    aliases: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        return " = ".join((self.name, *self.aliases))

    def scaled(self) -> pd.Series[float]:
        """Return numbers as they are compared: logarithms where that is the scale."""
        values: pd.Series[float] = self.values.astype("float64")
        return pd.Series(np.log10(values), values.index) if self.is_log else values

    def present(self) -> pd.Series[bool]:
        return self.values.notna()


@dataclass(frozen=True)
class Population:
    """Configurations to learn from, one row each.

    Args:
        description: whose they are, for captions.
        objective: mean over seeds.
        parameters: those with at least two values.
        order: how many trials the sampler had seen the end of before each; the run's place.
        sampler: that proposed them; null: not one sweep.
        num_random: those with a smaller `order` were drawn at random.
    """

    description: str
    objective: pd.Series[float]
    parameters: list[Parameter]
    order: pd.Series[int]
    sampler: str | None = None
    num_random: int = 0

    @property
    def is_guided(self) -> bool:
        """Return whether a sampler proposed more of what it had seen to be good."""
        name = (self.sampler or "random").lower().removesuffix("sampler")
        return name not in UNGUIDED and bool((self.order >= self.num_random).any())


def population_of_runs(runs: pd.DataFrame, objective: Objective) -> Population:
    """Return the configurations of the completed runs, told apart by their settings."""
    done = completed(runs, objective).reset_index(drop=True)
    groups = done.groupby("configuration", sort=False)
    first = groups.head(1).set_index("configuration")
    means = groups[objective.column].mean().astype("float64")
    names = [n for n in setting_names(runs) if tells_apart(n)]
    parameters = _merge_aliases(_from_settings(first, names))
    order = pd.Series(range(len(first)), index=first.index)
    return Population("all completed runs", means[first.index], parameters, order)


def population_of_sweep(
    runs: pd.DataFrame, sweep: Sweep, label: str, objective: Objective
) -> Population:
    """Return a sweep's completed configurations, told apart by the parameters of its space."""
    by_number = {trial.number: trial for trial in sweep.trials}
    # A run that the sweep has not recorded yet has no draws.
    known = (runs["sweep"] == label) & runs["trial"].isin(list(by_number))
    done = completed(runs[known], objective)
    first = done.sort_values("trial").groupby("configuration", sort=False).head(1)
    means = done.groupby("configuration")[objective.column].mean().astype("float64")
    trials = [by_number[int(number)] for number in first["trial"]]
    index = pd.Index(first["configuration"])
    return _population(f"sweep {label}", means[index], trials, sweep)


def proposals_of_sweep(sweep: Sweep) -> Population:
    """Return all that the sampler proposed, whatever became of it; without an objective."""
    own = [
        trial
        for trial in sweep.trials
        if trial.params
        and trial.repeat_of is None
        # an older sweep has trained it
        and not (trial.state in ("completed", "pruned") and trial.run_dir is None)
    ]
    nothing = pd.Series(np.nan, range(len(own)))
    return _population("all proposals", nothing, own, sweep)


def _population(
    description: str, objective: pd.Series[float], trials: list[SweepTrial], sweep: Sweep
) -> Population:
    rows = [trial.params for trial in trials]
    index = objective.index
    parameters = [
        make_parameter(key, pd.Series([row.get(key) for row in rows], index), "log" in text, rows)
        for key, text in sweep.record.space.items()
    ]
    seen = [t.number for t in sweep.trials if t.state in ("completed", "pruned")]
    order = np.searchsorted(seen, [trial.number for trial in trials])
    return Population(
        description,
        objective,
        _merge_aliases(parameters),
        pd.Series(order, index),
        sweep.record.sampler,
        sweep.record.n_startup_trials or 0,
    )


def make_parameter(
    name: str, values: pd.Series[Any], is_log: bool, rows: list[dict[str, Any]]
) -> Parameter:
    """Return a parameter of a sweep; a drawn null is a level, an absent name is no value."""
    drawn = [name in row for row in rows]
    given = [v for v, was in zip(values, drawn, strict=True) if was]
    if given and all(_is_number(v) for v in given):
        numbers = values.astype("float64")
        return Parameter(name, numbers, True, is_log or _is_geometric(numbers))
    texts = [_level(v) if was else None for v, was in zip(values, drawn, strict=True)]
    return Parameter(name, pd.Series(texts, values.index, dtype="str"), False)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _level(value: Any) -> str:
    if value is None:
        return NO_VALUE
    if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
        return "+".join(value)
    if isinstance(value, str) and re.fullmatch(r"\[[a-z_]+(, ?[a-z_]+)*\]", value):
        return "+".join(re.findall("[a-z_]+", value))
    return json.dumps(value) if isinstance(value, (list, dict, bool)) else str(value)


def _from_settings(table: pd.DataFrame, names: list[str]) -> list[Parameter]:
    varied = [name for name in names if table[name].nunique(dropna=False) > 1]
    parameters: list[Parameter] = []
    for name in varied:
        parent = BRANCHED_SETTINGS.get(name, name.split(".")[0])
        if parent not in BRANCHES or parent not in varied or name == parent:
            parameters += _of_setting(name, table[name], table)
            continue
        for choice, rows in table.groupby(parent):
            for each in _of_setting(f"{name}@{choice}", rows[name], rows):
                parameters.append(replace(each, values=each.values.reindex(table.index)))
    return parameters


def _of_setting(name: str, values: pd.Series[Any], table: pd.DataFrame) -> list[Parameter]:
    if is_numeric_dtype(values) and not is_bool_dtype(values):
        return _numeric(name, values.astype("float64"), table)
    texts = values.map(lambda v: NO_VALUE if pd.isna(v) else text_of(v))
    expanded = _expand_list(name, texts) if texts.nunique() > MAX_LEVELS else None
    return expanded or [Parameter(name, texts, False)]


def _numeric(name: str, values: pd.Series[float], table: pd.DataFrame) -> list[Parameter]:
    """Return the numbers, and beside them whether there is one unless augmentation decides it."""
    known = values.dropna()
    is_wide = bool(len(known)) and known.min() > 0 and known.max() / known.min() >= LOG_RATIO
    parameter = Parameter(name, values, True, is_wide or _is_geometric(values))
    present = values.notna()
    if present.all() or (present.groupby(table["augmentation"]).nunique() == 1).all():
        return [parameter]
    switch = present.map({True: "set", False: NO_VALUE})
    return [Parameter(f"{name} (set)", switch, False), parameter]


def _is_geometric(values: pd.Series[float]) -> bool:
    """Return whether there are three or more positive levels with one ratio."""
    levels = np.sort(values.dropna().unique())
    if not 3 <= len(levels) <= MAX_LEVELS or levels[0] <= 0:
        return False
    ratios = levels[1:] / levels[:-1]
    return bool(np.allclose(ratios, ratios[0]))


def _expand_list(name: str, texts: pd.Series[str]) -> list[Parameter] | None:
    """Return the length of a list and each of its places, where all are lists of numbers."""
    lists = texts.map(_numbers)
    if lists.isna().any():
        return None
    expanded = [Parameter(f"length of {name}", lists.map(len).astype("float64"), True)]
    for i, numbers in enumerate(zip_longest(*lists, fillvalue=np.nan)):
        values = pd.Series(numbers, texts.index, dtype="float64")
        expanded.append(Parameter(f"{name}[{i}]", values, True))
    return expanded


def _numbers(text: str) -> list[float] | None:
    try:
        values = json.loads(text)
    except ValueError:
        return None
    return values if isinstance(values, list) and all(map(_is_number, values)) else None


def _merge_aliases(parameters: list[Parameter]) -> list[Parameter]:
    """Return those that vary; those that cut the configurations into the same groups are one."""
    kept: dict[tuple[object, bytes], Parameter] = {}
    for each in parameters:
        if each.values.nunique() < 2:
            continue
        key = _partition(each)
        if key in kept:
            first = kept[key]
            kept[key] = replace(first, aliases=(*first.aliases, each.name))
        else:
            kept[key] = each
    return list(kept.values())


def _partition(parameter: Parameter) -> tuple[object, bytes]:
    """Return what is equal where groups are equal; many numbers must have the same order."""
    levels, present = int(parameter.values.nunique()), int(parameter.present().sum())
    by_order = parameter.is_numeric and levels > MAX_LEVELS
    if levels == present and not by_order:  # a group for each says nothing
        return (parameter.name, b"")
    codes, _ = pd.factorize(parameter.values, sort=by_order)
    return (levels if by_order else 0, codes.tobytes())


def coverage_remarks(
    population: Population, proposals: Population | None = None
) -> dict[str, list[str]]:
    """Return, by name of the parameter, what to doubt about the values that were tried.

    Args:
        population: what has an objective.
        proposals: all that was proposed, also what was pruned, rejected or failed; null: not
            by a sampler.
    """
    remarks: dict[str, list[str]] = {}
    if len(population.objective) < MIN_CONFIGURATIONS:
        return remarks  # too few for any remark to be news
    for parameter in population.parameters:
        remarks.setdefault(parameter.name, []).extend(_thin(parameter))
    if proposals is not None:
        for parameter in proposals.parameters:
            remarks.setdefault(parameter.name, []).extend(_liked(parameter, proposals))
    return {name: found for name, found in remarks.items() if found}


def _thin(parameter: Parameter) -> list[str]:
    """Say where a parameter was varied too little."""
    values = parameter.values.dropna()
    counts, total = values.value_counts(), len(values)
    if parameter.is_numeric and len(counts) > 2:
        if total < 2 * MIN_PER_LEVEL:
            return [f"only {total} configurations vary it"]
        others = total - int(counts.iloc[0])
        usual = f"{text_of(counts.index[0])} in all but {others} of {total} configurations"
        return [usual] if others < MIN_PER_LEVEL else []
    rare = list(counts[counts < MIN_PER_LEVEL].items())[:3]
    return [f"{text_of(level)} in only {count} of {total} configurations" for level, count in rare]


def _liked(parameter: Parameter, population: Population) -> list[str]:
    """Say where a sampler that learns has stayed with what it liked."""
    late = parameter.present() & (population.order >= population.num_random)
    count = int(late.sum())
    if not population.is_guided or count < LATE_TRIALS:
        return []
    after = f"its {count} proposals after the random ones"
    if parameter.is_numeric and parameter.values.nunique() > MAX_LEVELS:
        share = _central_width(parameter, late.to_numpy(bool))
        text = f"the sampler stayed in {share:.0%} of its range for {CENTRAL_SHARE:.0%} of {after}"
        return [text] if share < NARROW else []
    top = parameter.values[late].value_counts(normalize=True)
    if top.iloc[0] < CENTRAL_SHARE:
        return []
    return [f"the sampler chose {text_of(top.index[0])} in {top.iloc[0]:.0%} of {after}"]


def _central_width(parameter: Parameter, late: npt.NDArray[np.bool_]) -> float:
    """Return the width of the central trials over the whole width, on the parameter's scale."""
    scaled = parameter.scaled().to_numpy()
    low, high = np.quantile(scaled[late], [(1 - CENTRAL_SHARE) / 2, (1 + CENTRAL_SHARE) / 2])
    return float((high - low) / np.ptp(scaled[~np.isnan(scaled)]))
