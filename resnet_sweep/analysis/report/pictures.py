"""What the page's pictures show, computed once, as plain values for its scripts."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from resnet_sweep.analysis.configurations import seed_values
from resnet_sweep.analysis.figures.hyperparameters import (
    MAX_BARS,
    MAX_PANELS,
    jitter,
    measure_effect,
    ordered_parameters,
)
from resnet_sweep.analysis.figures.runs import (
    confusion_matrix,
    in_order,
    pareto_front,
    rejected_trials,
)
from resnet_sweep.analysis.importance import F_TEST_PERMUTATIONS
from resnet_sweep.analysis.parameters import LOG_RATIO, Parameter
from resnet_sweep.analysis.runs import completed, pruned, text_of
from resnet_sweep.analysis.view import View
from resnet_sweep.records.run_folder import RecordError, read_predictions
from resnet_sweep.reporting.style import STATUS_COLORS, typical_limits

MAX_AXES = 8  # of settings, in the parallel coordinates
MAX_LEVELS = 24
MAX_EFFECT_POINTS = 600
MAX_INTERVALS = 15
MAX_CONFUSIONS = 100  # each is a file of some 100 kB to read
MAX_CLASSES = 100  # of a confusion matrix
Picture = dict[str, Any]


def pictures(view: View) -> Picture:
    """Return every picture but those that the columns of the table give by themselves."""
    objective = view.objective
    values = completed(view.ranked, objective)[objective.column].to_numpy(np.float64)
    return {
        "objective": {
            "column": objective.column,
            "label": objective.label,
            "sign": objective.sign,
            "isAccuracy": objective.is_accuracy,
            "limits": typical_limits(values, objective.sign),
        },
        "budget": view.budget,
        "statusColors": STATUS_COLORS,
        "ranked": np.flatnonzero(view.runs.index.isin(view.ranked.index)).tolist(),
        "best": _places(view, view.best_runs(5)),
        "front": _front(view),
        "axes": _axes(view),
        "importance": _importance(view),
        "effects": _effects(view),
        "history": _history(view),
        "timeline": _timeline(view),
        "noise": _noise(view),
    }


def _places(view: View, names: Iterable[str]) -> list[int]:
    """Return the rows of the table that these runs are."""
    rows = {name: place for place, name in enumerate(view.runs["run"].tolist())}
    return [rows[name] for name in names]


def _front(view: View) -> list[list[float]]:
    table = view.configurations.table.dropna(subset=["num_params"])
    front = pareto_front(table, view.objective)
    return [[int(x), float(y)] for x, y in zip(front["num_params"], front["mean"], strict=True)]


def _axes(view: View) -> list[Picture]:
    """Return the axes of the parallel coordinates: settings by effect, size, objective.

    The values are those of the table's columns. A text with one level or very many has no axis.
    """
    ordered = dict.fromkeys(each.name.split("@")[0] for each in ordered_parameters(view))
    columns = [name.removeprefix("length of ").partition("[")[0] for name in ordered]
    names = [n for n in dict.fromkeys((*columns, *view.differing)) if n in view.runs.columns]
    logs = {p.name.split("@")[0] for p in view.population.parameters if p.is_log}
    axes = [_axis(view.ranked[name], name in logs) for name in names if name in view.differing]
    shown = [each for each in axes if each is not None][:MAX_AXES]
    last = [_axis(view.ranked[n], False) for n in ("num_params", view.objective.column)]
    return [*shown, *(each for each in last if each is not None)]


def _axis(column: pd.Series[Any], is_log: bool) -> Picture | None:
    known = column.dropna()
    if not is_numeric_dtype(column) or is_bool_dtype(column):
        levels = set(map(text_of, known))
        if not 1 < len(levels) <= MAX_LEVELS:
            return None
        return {"name": column.name, "levels": sorted(levels, key=_in_order)}
    values = known.to_numpy(np.float64)
    values = values[np.isfinite(values)]
    if not len(values) or values.min() == values.max():
        return None
    low, high = values.min(), values.max()
    return {"name": column.name, "log": bool(low > 0 and (is_log or high / low >= LOG_RATIO))}


def _in_order(level: str) -> tuple[int, Any]:
    """Order lists of numbers by their numbers, everything else by its letters."""
    try:
        numbers = json.loads(level)
    except ValueError:
        return 1, level
    values = numbers if isinstance(numbers, list) else [numbers]
    is_plain = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)
    return (0, [float(each) for each in values]) if is_plain else (1, level)


def _importance(view: View) -> Picture:
    found = view.importance
    return {
        "reason": found.reason,
        "shuffles": F_TEST_PERMUTATIONS,
        "bars": [
            {
                "name": test.parameter.name,
                "effect": _short(test.effect),
                "p": _short(test.p_value),
                "chance": _short(test.permutation_floor),
                "noise": _short(test.noise_floor),
                "matters": test.matters,
            }
            for test in found.tests[:MAX_BARS]
        ],
    }


def _effects(view: View) -> Picture:
    """Return the marginal means, and at most 600 of the configurations behind them."""
    y = view.population.objective.to_numpy(np.float64)
    known = ordered_parameters(view)
    matter = {test.parameter.name for test in view.importance.tests if test.matters}
    count = min(len(y), MAX_EFFECT_POINTS)
    chosen = np.sort(np.random.default_rng(0).permutation(len(y))[:count])
    return {
        "y": _shorts(y[chosen]),
        "limits": typical_limits(y, view.objective.sign),
        "total": len(y),
        "panels": [_effect(p, view, chosen, p.name in matter) for p in known[:MAX_PANELS]],
        "leftOut": [each.name for each in known[MAX_PANELS:]],
    }


def _effect(parameter: Parameter, view: View, chosen: np.ndarray, matters: bool) -> Picture:
    effect = measure_effect(parameter, view)
    shown = effect.x if parameter.is_numeric else effect.x + jitter(len(effect.x))
    return {
        "name": parameter.name,
        "log": bool(parameter.is_log),
        "levels": effect.levels,
        "matters": matters,
        "x": _shorts(shown[chosen]),
        "centres": _shorts(effect.centres),
        "means": _shorts(effect.means),
        "halves": _shorts(effect.halves),
        "few": effect.is_few.tolist(),
    }


def _history(view: View) -> Picture:
    """Return the runs in order, the best so far after each, and what was rejected."""
    runs = in_order(view)
    done = completed(runs, view.objective)
    y = done[view.objective.column].astype("float64")
    best = y.cummax() if view.objective.sign > 0 else y.cummin()
    is_new = best.ne(best.shift())
    steps = zip(done["place"][is_new].tolist(), best[is_new].tolist(), strict=True)
    rejected, drawn_rejected = rejected_trials(view)
    drawn = set(done["run"]) | set(pruned(runs)["run"])
    drawn |= set(runs.loc[~runs["status"].isin(("completed", "pruned")), "run"])
    shown = runs[runs["run"].isin(drawn)]
    return {
        "of": None if view.sweep is None else view.sweep_label,
        "runs": _places(view, shown["run"]),
        "place": shown["place"].tolist(),
        "best": [[int(x), float(value)] for x, value in steps],
        "rejected": drawn_rejected,
        "numRejected": len(rejected),
    }


def _timeline(view: View) -> Picture:
    """Return what each worker trained when, in seconds since the sweep's first trial began."""
    trials = [] if view.sweep is None else view.sweep.trained()
    timed = [(t, t.started, t.ended) for t in trials]
    known = [(t, start, end) for t, start, end in timed if start is not None and end is not None]
    if not known:
        return {"bars": []}
    rows = view.runs[view.runs["sweep"] == view.sweep_label]
    rows = rows.sort_values("rung", kind="stable")  # a trial's whole run comes after its rungs
    places = dict(zip(rows["trial"].tolist(), _places(view, rows["run"]), strict=True))
    began = min(start for _, start, _ in known)
    span = max(end for _, _, end in known) - began
    workers = len({t.worker or 0 for t, _, _ in known})
    trained = sum(end - start for _, start, end in known)
    return {
        "began": began,
        "bars": [
            [t.worker or 0, start - began, end - began, t.state, places.get(t.number)]
            for t, start, end in known
        ],
        "busy": trained / (span * workers) if span else 1.0,
    }


def _noise(view: View) -> list[Picture]:
    """Return the best configurations that have two seeds or more."""
    table = view.configurations.table
    several = table[table["n"] > 1].head(MAX_INTERVALS)
    return [
        {
            "run": place,
            "seeds": _shorts(
                seed_values(view.ranked, row["configuration"], view.objective).to_numpy()
            ),
            "mean": float(row["mean"]),
            "low": _short(row["low"]),
            "high": _short(row["high"]),
        }
        for place, row in zip(
            _places(view, several["run"]), several.to_dict("records"), strict=True
        )
    ]


def confusions(view: View) -> Picture:
    """Return what the best runs that stored predictions confuse.

    Counts by row of the table: [true class][predicted class], and the classes' names.
    """
    order = view.objective.best_first(view.runs)["run"].tolist()
    paths = {each.run: each.path for each in view.archive.found if each.has_predictions}
    tried = [run for run in order if run in paths][:MAX_CONFUSIONS]
    counts, names = {}, {}
    for run, row in zip(tried, _places(view, tried), strict=True):
        try:
            predictions = read_predictions(paths[run])
        except RecordError:
            continue
        classes = tuple(str(name) for name in predictions.class_names)
        if len(classes) <= MAX_CLASSES:
            counts[row] = confusion_matrix(predictions).tolist()
            names[row] = classes
    distinct = list(dict.fromkeys(names.values()))
    return {
        "limit": MAX_CONFUSIONS,
        "counts": counts,
        "classes": distinct,
        "classesOf": {row: distinct.index(each) for row, each in names.items()},
    }


def _shorts(values: Iterable[Any]) -> list[float | None]:
    return [_short(value) for value in values]


def _short(value: float) -> float | None:
    """Return six digits of a number; none where it is not finite."""
    return float(f"{value:.6g}") if math.isfinite(value) else None
