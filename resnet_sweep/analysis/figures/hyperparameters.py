"""How much each hyperparameter matters, and its effect: marginal means, the points behind them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from resnet_sweep.analysis.importance import F_TEST_PERMUTATIONS
from resnet_sweep.analysis.parameters import Parameter
from resnet_sweep.analysis.view import View
from resnet_sweep.reporting.statistics import Array, mean_interval
from resnet_sweep.reporting.style import (
    BLACK,
    BLUE,
    GREY,
    VERMILION,
    NotDrawnError,
    is_many,
    limit_to_typical,
    mark_outside,
    new_figure,
    plain,
    use_log_scale,
)

MAX_BARS = 20
MAX_PANELS = 12
COLUMNS = 3
BINS = 6
MAX_LEVELS_SHOWN = 10
MIN_FOR_INTERVAL = 3
PER_BIN = 5


def draw_importance(view: View) -> Figure:
    """Draw the effect of each hyperparameter by the F-tests, and the floors."""
    tests = view.importance.tests[:MAX_BARS]
    if not tests:
        raise NotDrawnError(view.importance.reason or "nothing was varied")
    figure = new_figure(1.7 + 0.27 * len(tests))
    axes = figure.subplots()
    axes.set_yticks(range(len(tests)), [plain(test.parameter.name, 36) for test in tests])
    axes.invert_yaxis()
    for place, test in enumerate(tests):
        axes.barh(place, test.effect, color=BLUE if test.matters else GREY, height=0.6)
        for x, color in ((test.permutation_floor, BLACK), (test.noise_floor, VERMILION)):
            if not math.isnan(x):
                axes.plot([x, x], [place - 0.38, place + 0.38], color=color, lw=2)
    floor = f"permutation floor: the 95% quantile of {F_TEST_PERMUTATIONS} shuffles"
    axes.set_xlabel(f"partial eta squared (fraction)\n{floor}")
    axes.grid(axis="y", visible=False)
    handles: list[Line2D | Patch] = [
        Patch(color=BLUE, label="matters"),
        Patch(color=GREY, label="cannot tell"),
        Line2D([], [], color=BLACK, lw=2, label="permutation floor"),
    ]
    if any(not math.isnan(test.noise_floor) for test in tests):
        repeated = view.configurations.noise_of_all.groups
        source = "1 configuration" if repeated == 1 else f"{repeated} configurations"
        label = f"seed-noise floor (from {source})"
        handles.append(Line2D([], [], color=VERMILION, lw=2, label=label))
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
    return figure


def draw_effects(view: View) -> Figure:
    """Draw the twelve hyperparameters with the largest effects, one panel each."""
    known = ordered_parameters(view)
    parameters = known[:MAX_PANELS]
    if not parameters:
        raise NotDrawnError("no hyperparameter was varied among completed runs")
    columns = 2 if len(parameters) in (2, 4) else min(COLUMNS, len(parameters))
    rows = math.ceil(len(parameters) / columns)
    figure = new_figure(0.8 + 2.3 * rows)
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    matter = {test.parameter.name for test in view.importance.tests if test.matters}
    for axes, parameter in zip(panels, parameters, strict=False):
        _draw_effect(axes, parameter, view)
        verdict = "matters" if parameter.name in matter else "cannot tell"
        axes.set_title(f"{plain(parameter.name, 31)}\n({verdict})", fontsize=7)
    for axes in panels[len(parameters) :]:
        axes.set_visible(False)
    figure.supylabel(view.objective.label, fontsize=9)
    _add_legend(figure, known)
    return figure


def ordered_parameters(view: View) -> list[Parameter]:
    """Return the hyperparameters that were tested, by effect, then the others."""
    tested = [test.parameter for test in view.importance.tests]
    names = {each.name for each in tested}
    return [*tested, *(each for each in view.population.parameters if each.name not in names)]


@dataclass(frozen=True)
class Effect:
    """A hyperparameter's values and its marginal means, those of groups of configurations.

    Args:
        x: of each configuration, the number of its level for a choice; NaN: absent.
        levels: of a choice, in order; null: numbers.
        centres, means: of the groups.
        halves: of their 95% intervals; zero where the group `is_few`.
    """

    parameter: Parameter
    x: Array
    levels: list[str] | None
    centres: Array
    means: Array
    halves: Array
    is_few: npt.NDArray[np.bool_]


def measure_effect(parameter: Parameter, view: View) -> Effect:
    """Return the marginal means over equal shares of a number's values, or each level."""
    y = view.population.objective.to_numpy()
    levels = None
    if parameter.is_numeric:
        x, groups = parameter.values.to_numpy(np.float64), _bins(parameter)
    else:
        shown = parameter.values.value_counts().index[:MAX_LEVELS_SHOWN].sort_values()
        levels = [str(level) for level in shown]
        places = {level: float(place) for place, level in enumerate(shown)}
        x = groups = parameter.values.map(places).to_numpy(np.float64)
    names = np.unique(groups[~np.isnan(groups)])
    found = [mean_interval(y[groups == name]) for name in names]
    is_few = np.array([each.n < MIN_FOR_INTERVAL for each in found], bool)
    halves = np.array([each.high - each.mean for each in found])
    halves[is_few] = 0.0
    scaled = np.log(x) if parameter.is_log else x
    centres = np.array([scaled[groups == name].mean() for name in names])
    centres = np.exp(centres) if parameter.is_log else centres
    means = np.array([each.mean for each in found])
    return Effect(parameter, x, levels, centres, means, halves, is_few)


def _draw_effect(axes: Axes, parameter: Parameter, view: View) -> None:
    y = view.population.objective.to_numpy()
    present = parameter.present().to_numpy(bool)
    effect = measure_effect(parameter, view)
    x = effect.x
    if parameter.is_log:
        use_log_scale(axes.xaxis, x, max_labels=3)
    elif effect.levels is not None:
        _name_levels(axes, effect.levels)
    shown = x if parameter.is_numeric else x + jitter(len(x))
    size = 8 if len(x) < 300 else 3
    axes.scatter(
        shown[present], y[present], s=size, color=GREY, alpha=0.5, lw=0, rasterized=is_many(len(x))
    )
    limit_to_typical(axes, y, view.objective.sign)
    mark_outside(axes, shown[present], y[present], GREY, size)
    _draw_means(axes, effect)


def jitter(count: int) -> Array:
    """Return what keeps the points of a level apart."""
    return np.random.default_rng(0).uniform(-0.18, 0.18, count)


def _bins(parameter: Parameter) -> Array:
    """Return the bin of each configuration: a value, or an equal share of them; NaN: absent."""
    values = parameter.values.astype("float64")
    if values.nunique() <= BINS:
        return values.to_numpy()
    count = min(BINS, max(2, int(values.count()) // PER_BIN))
    bins = pd.qcut(values, count, labels=False, duplicates="drop")
    return np.asarray(bins, np.float64)


def _name_levels(axes: Axes, levels: list[str]) -> None:
    rotation = 0 if sum(map(len, levels)) < 24 else 40
    labels = [plain(level, 22) for level in levels]
    side = "right" if rotation else "center"
    axes.set_xticks(range(len(levels)), labels, rotation=rotation, ha=side, fontsize=7)
    axes.set_xlim(-0.5, len(levels) - 0.5)


def _draw_means(axes: Axes, effect: Effect) -> None:
    centres, means, halves, is_few = effect.centres, effect.means, effect.halves, effect.is_few
    style = "o-" if effect.parameter.is_numeric else "o"
    axes.errorbar(centres, means, halves, fmt=style, color=VERMILION, ms=4, lw=1, capsize=3)
    axes.plot(centres[is_few], means[is_few], "o", color=VERMILION, ms=4, mfc="white", zorder=4)
    mark_outside(axes, centres, means, VERMILION, 26)
    for sign in (-1, 1):
        mark_outside(axes, centres, means + sign * halves, VERMILION, 16)


def _add_legend(figure: Figure, known: list[Parameter]) -> None:
    few = f"of fewer than {MIN_FOR_INTERVAL}"
    arrow: Any = {"ls": "none", "marker": "v", "ms": 4}
    left_out = None
    if len(known) > MAX_PANELS:
        names = ", ".join(plain(each.name) for each in known[MAX_PANELS:][:4])
        more = ", …" if len(known) > MAX_PANELS + 4 else ""
        left_out = f"{MAX_PANELS} of {len(known)} hyperparameters, by effect; not shown: "
        left_out += f"{names}{more}"
    handles = [
        Line2D([], [], color=GREY, ls="none", marker="o", ms=3, label="a configuration"),
        Line2D([], [], color=VERMILION, marker="o", ms=4, label="mean, 95% t interval"),
        Line2D([], [], color=VERMILION, ls="none", marker="o", ms=4, mfc="white", label=few),
        Line2D([], [], color="black", **arrow, label="outside: a point, mean or end"),
    ]
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=4,
        fontsize=8,
        columnspacing=1.2,
        title=left_out,
        title_fontsize=8,
    )
