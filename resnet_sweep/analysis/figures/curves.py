"""Learning curves of the best runs: accuracy and loss."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from resnet_sweep.analysis.view import View
from resnet_sweep.reporting.style import CYCLE, NotDrawnError, new_figure, plain

NUM_BEST = 5


def draw_curves(view: View) -> Figure:
    """Draw accuracy and loss of the best runs side by side."""
    runs = view.best_runs(NUM_BEST)
    if not runs:
        raise NotDrawnError("no run has completed")
    figure = new_figure(4.4, 9.6)
    panels = figure.subplots(1, 2)
    kinds = {"accuracy": "accuracy (fraction)", "loss": "cross-entropy (nats)"}
    for axes, (kind, label) in zip(panels, kinds.items(), strict=True):
        shown = []
        for color, run in zip(CYCLE, runs, strict=False):
            shown += [_plot(axes, view, run, f"{part}_{kind}", color) for part in ("train", "val")]
        if kind == "loss":
            _cut_outliers(axes, np.concatenate(shown))
        axes.set(xlabel="epoch", ylabel=label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    handles = [Line2D([], [], color=c, label=plain(r)) for c, r in zip(CYCLE, runs, strict=False)]
    handles += [
        Line2D([], [], color="0.3", ls="-", lw=1.6, label="validation"),
        Line2D([], [], color="0.3", ls=":", lw=1.2, label="training (augmented images)"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


def _plot(axes: Axes, view: View, run: str, column: str, color: str) -> np.ndarray:
    values = view.curves.curve(run, column)
    epochs = view.curves.curve(run, "epoch")
    solid = column.startswith("val")
    marker = "o" if len(epochs) < 10 else ""
    style = "-" if solid else ":"
    axes.plot(epochs, values, style, color=color, lw=1.6 if solid else 1.2, marker=marker, ms=3)
    return values


def _cut_outliers(axes: Axes, values: np.ndarray) -> None:
    """Keep a first loss of thousands from hiding the rest."""
    finite = values[np.isfinite(values)]
    if len(finite) and finite.max() > 4 * np.quantile(finite, 0.9) > 0:
        axes.set_ylim(0, 2 * float(np.quantile(finite, 0.9)))
