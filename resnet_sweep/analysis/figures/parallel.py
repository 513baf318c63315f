"""Parallel coordinates: every configuration a line through its hyperparameters."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from resnet_sweep.analysis.figures.effects import ordered_parameters
from resnet_sweep.analysis.parameters import Parameter
from resnet_sweep.analysis.view import View
from resnet_sweep.reporting.style import COLORMAP, NotDrawnError, new_figure, plain, short_name

MAX_AXES = 8
MAX_LINES = 400
MAX_LEVELS_SHOWN = 8
ABSENT = -0.12
LABEL_HEIGHT = 0.055  # of a label, of the axis


def draw_parallel(view: View) -> Figure:
    """Draw the eight first hyperparameters; at most 400 lines, the best hundred among them."""
    parameters = ordered_parameters(view)[:MAX_AXES]
    if len(parameters) < 2:
        raise NotDrawnError("fewer than two hyperparameters were varied")
    y = view.population.objective.to_numpy()
    order = _chosen(view.objective.sign * y)
    places = np.stack([_places(each) for each in parameters], 1)[order]
    figure = new_figure(4.6, 1.2 + 1.1 * len(parameters))
    axes = figure.subplots()
    norm = _norm(y[order], view.objective.sign)
    lines = [np.column_stack([np.arange(len(parameters)), row]) for row in places]
    collection = LineCollection(lines, cmap=COLORMAP, norm=norm, linewidths=0.9, alpha=0.75)
    collection.set_array(y[order])
    axes.add_collection(collection)
    for place, parameter in enumerate(parameters):
        _label_axis(axes, place, parameter)
    names = [short_name(each.name, 26) for each in parameters]
    axes.set_xticks(range(len(parameters)), names, rotation=25, ha="right")
    axes.set(xlim=(-0.3, len(parameters) - 0.3), ylim=(ABSENT - 0.06, 1.08), yticks=[])
    axes.grid(visible=False)
    axes.spines["left"].set_visible(False)
    figure.colorbar(collection, ax=axes, label=view.objective.label, pad=0.02)
    return figure


def _chosen(signed: np.ndarray) -> np.ndarray:
    """Return which configurations are drawn, the best last and so on top."""
    order = np.argsort(signed)
    if len(order) <= MAX_LINES:
        return order
    best = order[-MAX_LINES // 4 :]
    rest = np.random.default_rng(0).permutation(order[: -MAX_LINES // 4])[: MAX_LINES * 3 // 4]
    return np.concatenate([rest, best])


def _norm(y: np.ndarray, sign: int) -> Normalize:
    low, high = (float(v) for v in np.quantile(y, [0.1, 1.0] if sign > 0 else [0.0, 0.9]))
    return Normalize(low, high)


def _places(parameter: Parameter) -> np.ndarray:
    """Return heights in [0, 1]; what a configuration does not have lies below."""
    scaled = parameter.scaled() if parameter.is_numeric else _level_numbers(parameter)
    heights: np.ndarray = ((scaled - scaled.min()) / (scaled.max() - scaled.min())).to_numpy()
    return np.where(np.isnan(heights), ABSENT, heights)


def _level_numbers(parameter: Parameter) -> pd.Series[float]:
    levels = sorted(parameter.values.dropna().unique())
    return parameter.values.map({level: float(i) for i, level in enumerate(levels)})


def _number_marks(parameter: Parameter) -> dict[float, str]:
    """Return each of a few values by its height, or the ends of a range."""
    values = np.unique(parameter.values.dropna().to_numpy(float))
    if len(values) > MAX_LEVELS_SHOWN:
        values = values[[0, -1]]
    scaled = np.log10(values) if parameter.is_log else values
    heights = (scaled - scaled[0]) / (scaled[-1] - scaled[0])
    marks = {float(h): f"{value:.3g}" for h, value in zip(heights, values, strict=True)}
    return {height: marks[height] for height in _apart(list(marks))}


def _apart(heights: list[float]) -> list[float]:
    """Return both ends, and those between that touch no label below them or the upper end."""
    kept = [heights[0]]
    for height in heights[1:-1]:
        if height - kept[-1] >= LABEL_HEIGHT and heights[-1] - height >= LABEL_HEIGHT:
            kept.append(height)
    return [*kept, *heights[-1:]]


def _label_axis(axes: Axes, place: int, parameter: Parameter) -> None:
    axes.axvline(place, color="0.6", lw=0.8, zorder=0)
    values = parameter.values.dropna()
    if parameter.is_numeric:
        marks = _number_marks(parameter)
    else:
        levels = sorted(values.unique())[:MAX_LEVELS_SHOWN]
        top = max(1, values.nunique() - 1)
        marks = {i / top: plain(str(level), 18) for i, level in enumerate(levels)}
    if parameter.values.isna().any():
        marks[ABSENT] = "absent"
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.8}
    for height, text in marks.items():
        axes.text(place + 0.03, height, text, fontsize=7, va="center", bbox=box)
