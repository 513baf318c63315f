"""The response surface over the two most important hyperparameters that are numbers."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from resnet_sweep.analysis.figures.effects import ordered_parameters
from resnet_sweep.analysis.parameters import Parameter
from resnet_sweep.analysis.statistics import Array
from resnet_sweep.analysis.style import COLORMAP, NotDrawnError, new_figure, plain
from resnet_sweep.analysis.view import View

GRID = 60
MIN_POINTS = 12
MAX_POINTS = 300
# Farther than this share of the axes from any configuration, nothing is claimed.
REACH = 0.25


def draw_contour(view: View) -> Figure:
    """Draw a quadratic surface with interaction, fitted to the configurations it shows."""
    first, second = _choose(view)
    both = (first.present() & second.present()).to_numpy(bool)
    y = view.population.objective.to_numpy()[both]
    points = np.stack([_unit(first)[both], _unit(second)[both]], 1)
    coefficients = np.linalg.lstsq(_quadratic(points), y, rcond=None)[0]
    side = np.linspace(0, 1, GRID)
    grid = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)
    surface = _quadratic(grid) @ coefficients
    surface[_distance(grid, points) > REACH] = np.nan
    figure = new_figure(4.4, 5.6)
    axes = figure.subplots()
    x_range, y_range = (_from_unit(each, side) for each in (first, second))
    filled = axes.contourf(x_range, y_range, surface.reshape(GRID, GRID), 12, cmap=COLORMAP)
    _draw_points(axes, first.values.to_numpy(float)[both], second.values.to_numpy(float)[both])
    _label(axes, first, second)
    figure.colorbar(filled, ax=axes, label=f"{view.objective.label}, fitted")
    return figure


def _choose(view: View) -> tuple[Parameter, Parameter]:
    numeric = [p for p in ordered_parameters(view) if p.is_numeric and p.values.nunique() > 2]
    for i, first in enumerate(numeric):
        for second in numeric[i + 1 :]:
            if int((first.present() & second.present()).sum()) >= MIN_POINTS:
                return first, second
    raise NotDrawnError("no two numeric hyperparameters were varied together often enough")


def _draw_points(axes: Axes, x: Array, y: Array) -> None:
    few = np.random.default_rng(0).permutation(len(x))[:MAX_POINTS]
    axes.scatter(x[few], y[few], s=9, color="white", edgecolors="black", lw=0.4)


def _unit(parameter: Parameter) -> Array:
    scaled = parameter.scaled()
    return ((scaled - scaled.min()) / (scaled.max() - scaled.min())).to_numpy(np.float64)


def _from_unit(parameter: Parameter, unit: Array) -> Array:
    scaled = parameter.scaled()
    values = scaled.min() + unit * (scaled.max() - scaled.min())
    return 10.0**values if parameter.is_log else values


def _quadratic(points: Array) -> Array:
    a, b = points.T
    return np.stack([np.ones_like(a), a, b, a**2, b**2, a * b], 1)


def _distance(grid: Array, points: Array) -> Array:
    """Return the distance from each place of the grid to the nearest of 2,000 points."""
    few = points[np.random.default_rng(0).permutation(len(points))[:2000]]
    squares = [((grid[i : i + 500, None] - few) ** 2).sum(2).min(1) for i in range(0, GRID**2, 500)]
    distances: Array = np.sqrt(np.concatenate(squares))
    return distances


def _label(axes: Axes, first: Parameter, second: Parameter) -> None:
    if first.is_log:
        axes.set_xscale("log")
    if second.is_log:
        axes.set_yscale("log")
    axes.set(xlabel=plain(first.name), ylabel=plain(second.name))
    axes.grid(visible=False)
