"""The objective over the two most important hyperparameters that are numbers."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from resnet_sweep.analysis.figures.effects import ordered_parameters
from resnet_sweep.analysis.parameters import Parameter
from resnet_sweep.analysis.view import View
from resnet_sweep.reporting.statistics import Array
from resnet_sweep.reporting.style import (
    COLORMAP,
    NotDrawnError,
    new_figure,
    plain,
    typical_range,
    use_log_scale,
)

GRID = 60
LEVELS = 12
MIN_POINTS = 12
MAX_POINTS = 300
MAX_SMOOTHED = 2000
# A share of each axis; a single point reaches 1.7 bandwidths far.
BANDWIDTH = 0.12
MIN_WEIGHT = 0.25


def draw_contour(view: View) -> Figure:
    """Draw the smoothed mean of the configurations, blank where none is near."""
    first, second = _choose(view)
    both = (first.present() & second.present()).to_numpy(bool)
    y = view.population.objective.to_numpy()[both]
    points = np.stack([_unit(first)[both], _unit(second)[both]], 1)
    side = np.linspace(0, 1, GRID)
    grid = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)
    surface = smooth(grid, points, y).reshape(GRID, GRID)
    figure = new_figure(4.4, 5.6)
    axes = figure.subplots()
    x_range, y_range = (_from_unit(each, side) for each in (first, second))
    low, high = typical_range(surface.ravel(), view.objective) or (0.0, 1.0)
    levels = MaxNLocator(LEVELS).tick_values(low, high)
    filled = axes.contourf(x_range, y_range, surface, levels, cmap=COLORMAP, extend="both")
    _draw_points(axes, first.values.to_numpy(float)[both], second.values.to_numpy(float)[both])
    _label_axes(axes, first, second)
    figure.colorbar(filled, ax=axes, label=f"{view.objective.label}, smoothed")
    return figure


def smooth(grid: Array, points: Array, y: Array) -> Array:
    """Return the mean of the points around each place, by a Gaussian; NaN where none is near.

    Args:
        grid, points: [n, 2] and [m, 2], in [0, 1]; at most 2,000 random points count.
    """
    few = np.random.default_rng(0).permutation(len(points))[:MAX_SMOOTHED]
    parts = []
    for start in range(0, len(grid), 500):
        squares = ((grid[start : start + 500, None] - points[few]) ** 2).sum(2)
        weights = np.exp(-squares / (2 * BANDWIDTH**2))
        sums = weights.sum(1)
        means = weights @ y[few] / np.maximum(sums, MIN_WEIGHT)
        parts.append(np.where(sums < MIN_WEIGHT, np.nan, means))
    return np.concatenate(parts)


def _choose(view: View) -> tuple[Parameter, Parameter]:
    numeric = [p for p in ordered_parameters(view) if p.is_numeric and p.values.nunique() > 2]
    for i, first in enumerate(numeric):
        for second in numeric[i + 1 :]:
            if int((first.present() & second.present()).sum()) >= MIN_POINTS:
                return first, second
    raise NotDrawnError("no two numeric hyperparameters were varied together often enough")


def _draw_points(axes: Axes, x: Array, y: Array) -> None:
    few = np.random.default_rng(0).permutation(len(x))[:MAX_POINTS]
    axes.scatter(
        x[few], y[few], s=9, color="white", edgecolors="black", lw=0.4, clip_on=False, zorder=3
    )


def _unit(parameter: Parameter) -> Array:
    scaled = parameter.scaled()
    return ((scaled - scaled.min()) / (scaled.max() - scaled.min())).to_numpy(np.float64)


def _from_unit(parameter: Parameter, unit: Array) -> Array:
    scaled = parameter.scaled()
    values = scaled.min() + unit * (scaled.max() - scaled.min())
    return 10.0**values if parameter.is_log else values


def _label_axes(axes: Axes, first: Parameter, second: Parameter) -> None:
    for axis, parameter in ((axes.xaxis, first), (axes.yaxis, second)):
        if parameter.is_log:
            use_log_scale(axis, parameter.values.to_numpy(float))
    axes.set(xlabel=plain(first.name), ylabel=plain(second.name))
    axes.grid(visible=False)
