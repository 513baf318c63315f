"""Figures of runs: accuracy over parameters, curves over epochs, a sweep's course, confusion."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from resnet_sweep.analysis.objective import UNITS, Objective
from resnet_sweep.analysis.runs import completed, pruned
from resnet_sweep.analysis.view import View, runs_of_sweep
from resnet_sweep.records.run_folder import Predictions, RecordError, read_predictions
from resnet_sweep.reporting.confusion import class_shares, count_confusion, draw_confusion
from resnet_sweep.reporting.statistics import Array
from resnet_sweep.reporting.style import (
    BLACK,
    BLUE,
    CYCLE,
    STATUS_COLORS,
    STATUS_MARKERS,
    VERMILION,
    NotDrawnError,
    is_many,
    limit_to_typical,
    mark_outside,
    new_figure,
    plain,
    short_number,
    use_log_scale,
)

NUM_BEST = 5  # runs whose curves are drawn
MAX_REJECTED = 5000
WITHOUT_VALUE = ("failed", "diverged", "out_of_memory", "interrupted", "running")
NUM_WORST = 10  # classes by recall


def draw_params(view: View) -> Figure:
    """Draw the objective against parameters, with the budget and the Pareto front."""
    table = view.configurations.table.dropna(subset=["num_params"])
    if table.empty:
        raise NotDrawnError("no run has completed")
    figure = new_figure()
    axes = figure.subplots()
    x, y = table["num_params"].astype("float64"), table["mean"]
    size = 14 if len(table) < 300 else 5
    name = f"configurations ({len(table)})"
    axes.scatter(
        x, y, s=size, color=BLUE, alpha=0.6, lw=0, rasterized=is_many(len(table)), label=name
    )
    front = pareto_front(table, view.objective)
    front_x = front["num_params"].astype("float64")
    name = f"Pareto front ({len(front)})"
    axes.step(front_x, front["mean"], "o-", where="post", color=BLACK, lw=1.2, ms=4.2, label=name)
    if x.min() > 0:
        use_log_scale(axes.xaxis, np.append(x, view.budget), max_labels=12)
    limit_to_typical(axes, y.to_numpy(), view.objective.sign)
    num_outside = mark_outside(axes, x.to_numpy(), y.to_numpy(), BLUE, size)
    if num_outside:
        axes.plot([], [], "v", color=BLUE, ms=4, label=f"outside the range ({num_outside})")
    axes.set(xlabel=UNITS["num_params"], ylabel=view.objective.label)
    label = f"budget, {short_number(view.budget)}"
    axes.axvline(view.budget, color=VERMILION, ls="--", lw=1.2, label=label)
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def pareto_front(table: pd.DataFrame, objective: Objective) -> pd.DataFrame:
    """Return the configurations that none with as few parameters or fewer beats, by parameters."""
    ordered = table.assign(signed=objective.sign * table["mean"])
    ordered = ordered.sort_values(["num_params", "signed"], ascending=[True, False], kind="stable")
    best_before = ordered["signed"].cummax().shift(fill_value=-np.inf)
    return ordered[ordered["signed"] > best_before]


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


def draw_history(view: View) -> Figure:
    """Draw the objective by trial number (by name, without a sweep) and the best so far."""
    runs = in_order(view)
    done = completed(runs, view.objective)
    if done.empty:
        raise NotDrawnError("no run has completed")
    figure = new_figure()
    axes = figure.subplots()
    _points(axes, done, view.objective.column, "completed")
    y = done[view.objective.column].astype("float64")
    best = y.cummax() if view.objective.sign > 0 else y.cummin()
    axes.step(done["place"], best, where="post", color=BLACK, lw=1.3, label="best so far")
    limit_to_typical(axes, y.to_numpy(), view.objective.sign)
    mark_outside(axes, done["place"].to_numpy(float), y.to_numpy(), STATUS_COLORS["completed"])
    _draw_pruned(axes, pruned(runs), view.objective.column)
    _mark_at_edge(axes, runs, view)
    axes.set(xlabel="run, by name" if view.sweep is None else "trial number")
    axes.set_ylabel(view.objective.label)
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def in_order(view: View) -> pd.DataFrame:
    """Return the runs with their `place`: the trial's number, or their order by name."""
    if view.sweep is None:
        return view.ranked.assign(place=np.arange(len(view.ranked)))
    runs = runs_of_sweep(view)
    return runs.assign(place=runs["trial"].astype("int64")).sort_values("place")


def rejected_trials(view: View) -> tuple[list[int], list[int]]:
    """Return the numbers of the rejected trials, and of those that are drawn."""
    trials = [] if view.sweep is None else view.sweep.trials
    rejected = [trial.number for trial in trials if trial.state == "rejected"]
    return rejected, rejected[:: 1 + len(rejected) // MAX_REJECTED]


def _points(axes: Axes, runs: pd.DataFrame, column: str, status: str) -> None:
    axes.scatter(
        runs["place"],
        runs[column].astype("float64"),
        s=14 if len(runs) < 500 else 5,
        color=STATUS_COLORS[status],
        marker=STATUS_MARKERS[status],
        alpha=0.75,
        lw=0,
        rasterized=is_many(len(runs)),
        label=f"{status} ({len(runs)})" + (", last epoch's value" if status == "pruned" else ""),
    )


def _draw_pruned(axes: Axes, runs: pd.DataFrame, column: str) -> None:
    """Draw pruned trials; those that lie outside stand at the edge."""
    if runs.empty:
        return
    low, high = axes.get_ylim()
    margin = 0.02 * (high - low)
    values = runs[column].astype("float64").clip(low + margin, high - margin)
    _points(axes, runs.assign(**{column: values}), column, "pruned")


def _mark_at_edge(axes: Axes, runs: pd.DataFrame, view: View) -> None:
    """Mark along the lower edge what has no value: failures and rejected proposals."""
    edge = axes.get_xaxis_transform()
    for status in WITHOUT_VALUE:
        places = runs.loc[runs["status"] == status, "place"]
        if len(places):
            marker = STATUS_MARKERS.get(status, "s")
            axes.scatter(
                places,
                np.full(len(places), 0.05),
                s=18,
                transform=edge,
                marker=marker,
                color=STATUS_COLORS[status],
                label=f"{status} ({len(places)})",
            )
    rejected, shown = rejected_trials(view)
    if rejected:
        label = f"rejected before training ({len(rejected)})"
        width = 1.2 if len(shown) < 200 else 0.5
        axes.vlines(shown, 0, 0.035, transform=edge, color=STATUS_COLORS["rejected"], lw=width)
        axes.plot([], [], "|", color=STATUS_COLORS["rejected"], ms=9, mew=1.4, label=label)


def confusion_matrix(predictions: Predictions) -> npt.NDArray[np.int64]:
    """Return counts [true class, predicted class]."""
    classes = len(predictions.class_names)
    return count_confusion(predictions.labels, predictions.probabilities.argmax(1), classes)


def draw_best_confusion(view: View) -> Figure:
    """Draw the shares of each true class, and the classes with the lowest recall.

    Those of the best run that stored its predictions.
    """
    paths = view.archive.paths
    for run in view.best_runs(10):
        try:
            predictions = read_predictions(paths[run])
            break
        except RecordError:
            continue
    else:
        raise NotDrawnError("none of the best runs has stored validation predictions")
    counts = confusion_matrix(predictions)
    shares = class_shares(counts)
    names = [plain(str(name), 18) for name in predictions.class_names]
    figure = new_figure(5.2, 10.4)
    left, right = figure.subplots(1, 2, width_ratios=[1.7, 1], gridspec_kw={"wspace": 0.12})
    draw_confusion(figure, left, shares, names)
    _draw_worst(right, shares, counts, names)
    figure.suptitle(f"{plain(run)}, {len(predictions.labels)} validation images", fontsize=9)
    return figure


def _draw_worst(axes: Axes, shares: Array, counts: npt.NDArray[np.int64], names: list[str]) -> None:
    present = np.flatnonzero(counts.sum(1))
    worst = present[np.argsort(np.diag(shares)[present], kind="stable")][:NUM_WORST]
    axes.barh(range(len(worst)), np.diag(shares)[worst], color=BLUE)
    axes.set_yticks(range(len(worst)), [names[i] for i in worst])
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set(xlabel="recall (fraction)", xlim=(0, 1), xticks=[0, 0.25, 0.5, 0.75, 1])
    axes.set_title("worst classes → taken for")
    for place, index in enumerate(worst):
        wrong = counts[index].copy()
        wrong[index] = 0
        if wrong.any():
            text = f" → {names[int(wrong.argmax())]}"
            inside = bool(shares[index, index] > 0.7)
            axes.text(
                shares[index, index],
                place,
                f"{text} " if inside else text,
                va="center",
                ha="right" if inside else "left",
                color="white" if inside else "black",
                fontsize=7,
            )
