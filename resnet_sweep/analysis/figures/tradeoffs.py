"""What accuracy costs: parameters and time; and how sure the best configurations are."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from resnet_sweep.analysis.configurations import seed_values
from resnet_sweep.analysis.objective import UNITS, Objective
from resnet_sweep.analysis.view import View
from resnet_sweep.reporting.style import (
    BLACK,
    BLUE,
    GREY,
    VERMILION,
    NotDrawnError,
    is_many,
    keep_to_fractions,
    limit_to_typical,
    mark_outside,
    new_figure,
    plain,
    short_number,
    use_log_scale,
)

NUM_INTERVALS = 15


def draw_params(view: View) -> Figure:
    """Draw the objective against parameters, with the budget and the Pareto front."""
    figure = _scatter(view, "num_params", UNITS["num_params"])
    axes = figure.axes[0]
    label = f"budget, {short_number(view.budget)}"
    axes.axvline(view.budget, color=VERMILION, ls="--", lw=1.2, label=label)
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def draw_time(view: View) -> Figure:
    """Draw the objective against training time, with the Pareto front."""
    figure = _scatter(view, "train_seconds", "training and evaluation time of a run (s)")
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def pareto_front(table: pd.DataFrame, cost: str, objective: Objective) -> pd.DataFrame:
    """Return the configurations that none beats at equal or lower cost, by cost."""
    ordered = table.assign(signed=objective.sign * table["mean"])
    ordered = ordered.sort_values([cost, "signed"], ascending=[True, False], kind="stable")
    best_before = ordered["signed"].cummax().shift(fill_value=-np.inf)
    return ordered[ordered["signed"] > best_before]


def _scatter(view: View, cost: str, label: str) -> Figure:
    table = view.configurations.table.dropna(subset=[cost])
    if table.empty:
        raise NotDrawnError("no run has completed")
    figure = new_figure()
    axes = figure.subplots()
    x, y = table[cost].astype("float64"), table["mean"]
    size = 14 if len(table) < 300 else 5
    name = f"configurations ({len(table)})"
    axes.scatter(
        x, y, s=size, color=BLUE, alpha=0.6, lw=0, rasterized=is_many(len(table)), label=name
    )
    front = pareto_front(table, cost, view.objective)
    front_x = front[cost].astype("float64")
    name = f"Pareto front ({len(front)})"
    axes.step(front_x, front["mean"], "o-", where="post", color=BLACK, lw=1.2, ms=4.2, label=name)
    if x.min() > 0:
        shown = np.append(x, view.budget) if cost == "num_params" else x.to_numpy()
        use_log_scale(axes.xaxis, shown, max_labels=12)
    limit_to_typical(axes, y.to_numpy(), view.objective.sign)
    num_outside = mark_outside(axes, x.to_numpy(), y.to_numpy(), BLUE, size)
    if num_outside:
        axes.plot([], [], "v", color=BLUE, ms=4, label=f"outside the range ({num_outside})")
    axes.set(xlabel=label, ylabel=view.objective.label)
    return figure


def draw_seeds(view: View) -> Figure:
    """Draw the best configurations with every seed and the interval of the mean."""
    table = view.configurations.table
    if table.empty or table["n"].max() < 2:
        raise NotDrawnError("no configuration was trained with two seeds")
    shown = table[table["n"] > 1].head(NUM_INTERVALS)
    figure = new_figure(1.2 + 0.32 * len(shown))
    axes = figure.subplots()
    names = []
    for place, row in enumerate(shown.to_dict("records")):
        seeds = seed_values(view.ranked, row["configuration"], view.objective)
        axes.plot(seeds, np.full(len(seeds), place), "o", color=GREY, ms=4, alpha=0.8)
        axes.plot([row["low"], row["high"]], [place, place], color=BLUE, lw=2)
        axes.plot([row["mean"]], [place], "D", color=BLUE, ms=5)
        names.append(f"{plain(row['run'], 30)} (n={row['n']})")
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    if view.objective.is_accuracy:
        keep_to_fractions(axes)
    axes.plot([], [], "o", color=GREY, label="one seed")
    axes.plot([], [], "D-", color=BLUE, label="mean, 95% t interval")
    axes.set_xlabel(view.objective.label)
    figure.legend(loc="outside lower center", ncols=2)
    return figure
