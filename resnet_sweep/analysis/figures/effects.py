"""The effect of each hyperparameter: marginal means with intervals, the points behind them."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from resnet_sweep.analysis.parameters import Parameter
from resnet_sweep.analysis.statistics import Array, mean_interval
from resnet_sweep.analysis.style import (
    GREY,
    VERMILION,
    NotDrawnError,
    is_many,
    limit_objective,
    mark_outside,
    new_figure,
    plain,
    use_log_scale,
)
from resnet_sweep.analysis.view import View

MAX_PANELS = 12
COLUMNS = 3
BINS = 6
MAX_LEVELS_SHOWN = 10
MIN_FOR_INTERVAL = 3
PER_BIN = 5


def draw_effects(view: View) -> Figure:
    """Draw the twelve hyperparameters with the largest effects, one panel each."""
    known = ordered_parameters(view)
    parameters = known[:MAX_PANELS]
    if not parameters:
        raise NotDrawnError("no hyperparameter was varied among completed runs")
    rows = math.ceil(len(parameters) / COLUMNS)
    figure = new_figure(0.5 + 2.3 * rows)
    panels = figure.subplots(rows, COLUMNS, sharey=True, squeeze=False).ravel()
    matter = {test.parameter.name for test in view.importance.tests if test.matters}
    for axes, parameter in zip(panels, parameters, strict=False):
        _draw_effect(axes, parameter, view)
        verdict = "matters" if parameter.name in matter else "cannot tell"
        axes.set_title(f"{plain(parameter.name, 31)}\n({verdict})", fontsize=7)
    for axes in panels[len(parameters) :]:
        axes.set_visible(False)
    figure.supylabel(view.objective.label, fontsize=9)
    if len(known) > len(parameters):
        shown = f"{len(parameters)} of {len(known)} hyperparameters, by effect"
        figure.supxlabel(
            f"{shown}; not shown: {', '.join(plain(p.name) for p in known[MAX_PANELS:][:4])}"
            + (", …" if len(known) > MAX_PANELS + 4 else ""),
            fontsize=8,
        )
    return figure


def ordered_parameters(view: View) -> list[Parameter]:
    """Return the hyperparameters that were tested, by effect, then the others."""
    tested = [test.parameter for test in view.importance.tests]
    names = {each.name for each in tested}
    return [*tested, *(each for each in view.population.parameters if each.name not in names)]


def _draw_effect(axes: Axes, parameter: Parameter, view: View) -> None:
    y = view.population.objective.to_numpy()
    present = parameter.present().to_numpy(bool)
    if parameter.is_numeric:
        x = parameter.values.to_numpy(np.float64)
        groups = _bins(parameter)
        if parameter.is_log:
            use_log_scale(axes.xaxis, x, max_labels=3)
    else:
        x, groups = _level_places(parameter, axes)
    jitter = np.random.default_rng(0).uniform(-0.18, 0.18, len(x))
    shown = x if parameter.is_numeric else x + jitter
    size = 8 if len(x) < 300 else 3
    axes.scatter(
        shown[present], y[present], s=size, color=GREY, alpha=0.5, lw=0, rasterized=is_many(len(x))
    )
    limit_objective(axes, y, view.objective)
    mark_outside(axes, shown[present], y[present], GREY, size)
    _draw_means(axes, x, y, groups, parameter)


def _bins(parameter: Parameter) -> Array:
    """Return the bin of each configuration: a value, or an equal share of them; NaN: absent."""
    values = parameter.values.astype("float64")
    if values.nunique() <= BINS:
        return values.to_numpy()
    count = min(BINS, max(2, int(values.count()) // PER_BIN))
    bins = pd.qcut(values, count, labels=False, duplicates="drop")
    return np.asarray(bins, np.float64)


def _level_places(parameter: Parameter, axes: Axes) -> tuple[Array, Array]:
    levels = parameter.values.value_counts().index[:MAX_LEVELS_SHOWN].sort_values()
    places = parameter.values.map({level: float(i) for i, level in enumerate(levels)})
    rotation = 0 if sum(map(len, levels)) < 24 else 40
    labels = [plain(str(level), 22) for level in levels]
    side = "right" if rotation else "center"
    axes.set_xticks(range(len(levels)), labels, rotation=rotation, ha=side, fontsize=7)
    axes.set_xlim(-0.5, len(levels) - 0.5)
    x = places.to_numpy(np.float64)
    return x, x


def _draw_means(axes: Axes, x: Array, y: Array, groups: Array, parameter: Parameter) -> None:
    centres, means, halves = [], [], []
    for group in np.unique(groups[~np.isnan(groups)]):
        inside = groups == group
        interval = mean_interval(y[inside])
        centre = np.exp(np.log(x[inside]).mean()) if parameter.is_log else x[inside].mean()
        centres.append(float(centre))
        means.append(interval.mean)
        wide = interval.n < MIN_FOR_INTERVAL
        halves.append(0.0 if wide else interval.high - interval.mean)
    style = "o-" if parameter.is_numeric else "o"
    axes.errorbar(centres, means, halves, fmt=style, color=VERMILION, ms=4, lw=1, capsize=3)
    mark_outside(axes, np.array(centres), np.array(means), VERMILION, 26)
    for sign in (-1, 1):
        ends = np.array(means) + sign * np.array(halves)
        mark_outside(axes, np.array(centres), ends, VERMILION, 16)
