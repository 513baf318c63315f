"""Marks at the edge of an axis, and labels that do not touch."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy import stats

from resnet_sweep.analysis.figures.hyperparameters import _draw_means, measure_effect
from resnet_sweep.analysis.parameters import make_parameter
from resnet_sweep.reporting.style import new_figure, use_log_scale


def test_an_interval_that_the_axis_cuts_is_marked_at_that_end() -> None:
    """Three groups, one value of the last so far off that its interval passes the axis below."""
    x = np.repeat([0.0, 1.0, 2.0], 5)
    y = np.array([0.8, 0.81, 0.82, 0.8, 0.81] * 2 + [0.8, 0.81, 0.8, 0.82, -0.9])
    axes = Figure().subplots()
    axes.set_ylim(0.0, 2.0)
    rows: list[dict[str, Any]] = [{"a": value} for value in x]
    view: Any = SimpleNamespace(population=SimpleNamespace(objective=pd.Series(y)))
    _draw_means(axes, measure_effect(make_parameter("a", pd.Series(x), False, rows), view))
    marks = [c.get_offsets().tolist() for c in axes.collections if len(c.get_offsets())]
    assert [[2.0, 0.015]] in marks and [[2.0, 0.985]] not in marks
    low = y[10:].mean() - stats.t.ppf(0.975, 4) * y[10:].std(ddof=1) / 5**0.5
    assert low < 0.0 < y[10:].mean()


def test_labels_of_a_logarithmic_axis_do_not_touch() -> None:
    for low, high in ((2e3, 6e4), (6e5, 1.2e6), (3e4, 5e6), (1e5, 9e5), (5e4, 5e6)):
        figure = new_figure()
        axes = figure.subplots()
        axes.set_xlim(low, high)
        use_log_scale(axes.xaxis, np.array([low, high]), max_labels=12)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        shown = [t for t in axes.get_xticklabels() if low <= t.get_position()[0] <= high]
        boxes = sorted(
            (t.get_window_extent(canvas.get_renderer()) for t in shown), key=lambda b: b.x0
        )
        assert len(boxes) >= 3
        assert all(one.x1 + 2 < two.x0 for one, two in pairwise(boxes))
