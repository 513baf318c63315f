"""The course of a sweep: every trial and the best so far."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from resnet_sweep.analysis.runs import completed, pruned
from resnet_sweep.analysis.view import View, runs_of_sweep
from resnet_sweep.reporting.style import (
    BLACK,
    STATUS_COLORS,
    STATUS_MARKERS,
    NotDrawnError,
    is_many,
    limit_to_typical,
    mark_outside,
    new_figure,
)

MAX_REJECTED = 5000
WITHOUT_VALUE = ("failed", "diverged", "out_of_memory", "interrupted", "running")


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
