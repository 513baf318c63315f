"""Learning curves: of the best runs, and of pruned trials against completed ones."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from resnet_sweep.analysis.runs import completed, pruned
from resnet_sweep.analysis.view import View, runs_of_sweep
from resnet_sweep.reporting.style import (
    BLUE,
    CYCLE,
    ORANGE,
    NotDrawnError,
    limit_to_typical,
    new_figure,
    plain,
)

NUM_BEST = 5
MAX_CURVES = 200


def draw_accuracy_curves(view: View) -> Figure:
    return _draw_best(view, "accuracy", "accuracy (fraction)")


def draw_loss_curves(view: View) -> Figure:
    return _draw_best(view, "loss", "cross-entropy (nats)")


def _draw_best(view: View, kind: str, label: str) -> Figure:
    runs = view.best_runs(NUM_BEST)
    if not runs:
        raise NotDrawnError("no run has completed")
    figure = new_figure(4.8)
    axes = figure.subplots()
    shown = []
    for color, run in zip(CYCLE, runs, strict=False):
        shown += [_plot(axes, view, run, f"{part}_{kind}", color) for part in ("train", "val")]
    if kind == "loss":
        _cut_outliers(axes, np.concatenate(shown))
    _label_epochs(axes, label)
    _add_legends(figure, runs)
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


def _add_legends(figure: Figure, runs: list[str]) -> None:
    handles = [Line2D([], [], color=c, label=plain(r)) for c, r in zip(CYCLE, runs, strict=False)]
    handles += [
        Line2D([], [], color="0.3", ls="-", lw=1.6, label="validation"),
        Line2D([], [], color="0.3", ls=":", lw=1.2, label="training (augmented images)"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)


def draw_pruned_curves(view: View) -> Figure:
    """Draw at most 200 runs of each kind, of one sweep and one planned length.

    Raises:
        NotDrawnError: none was pruned.
    """
    ended, done, budget = _of_one_length(view)
    figure = new_figure()
    axes = figure.subplots()
    for runs, color, style, name in (
        (done, BLUE, "-", "completed"),
        (ended, ORANGE, "--", "pruned"),
    ):
        few = np.random.default_rng(0).permutation(len(runs))[:MAX_CURVES]
        lines = [_line(view, runs[i]) for i in few]
        label = f"{name} ({len(runs)})"
        axes.add_collection(
            LineCollection(lines, colors=color, linewidths=0.9, linestyles=style, alpha=0.6)
        )
        axes.plot([], [], color=color, ls=style, label=label)
    ends = [_line(view, run)[-1:, 0] for run in ended]
    values = np.concatenate([view.curves.curve(run, "val_accuracy") for run in (*done, *ended)])
    axes.autoscale_view()
    limit_to_typical(axes, values, 1)
    _label_epochs(axes, "validation accuracy (fraction)")
    figure.legend(loc="outside lower center", ncols=2)
    median = np.median(np.concatenate(ends))
    axes.set_title(f"planned for {budget} epochs; the median pruned trial stopped after {median:g}")
    return figure


def _of_one_length(view: View) -> tuple[list[str], list[str], int]:
    """Return the pruned and the completed runs of the length that most pruned ones were meant for.

    A schedule runs through in the planned epochs: at another length the same epoch is another
    place in it.
    """
    runs = runs_of_sweep(view)
    ended = pruned(runs)
    if ended.empty:
        raise NotDrawnError("no trial was pruned")
    done = completed(runs, view.objective)
    budget = ended["train.epochs"].mode().iloc[0]
    few, whole = (each[each["train.epochs"] == budget]["run"].tolist() for each in (ended, done))
    return few, whole, int(budget)


def _line(view: View, run: str) -> np.ndarray:
    curves = view.curves
    return np.stack([curves.curve(run, "epoch"), curves.curve(run, "val_accuracy")], 1)


def _label_epochs(axes: Axes, label: str) -> None:
    axes.set(xlabel="epoch", ylabel=label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
