"""What accuracy costs: parameters, with the budget and the Pareto front."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from resnet_sweep.analysis.objective import UNITS, Objective
from resnet_sweep.analysis.view import View
from resnet_sweep.reporting.style import (
    BLACK,
    BLUE,
    VERMILION,
    NotDrawnError,
    is_many,
    limit_to_typical,
    mark_outside,
    new_figure,
    short_number,
    use_log_scale,
)


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
