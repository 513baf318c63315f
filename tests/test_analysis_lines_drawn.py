"""The parallel coordinates and the pruned curves show what the raw files hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from raw_importance import Chosen, partial_effects

from resnet_sweep.analysis.archive import read_archive
from resnet_sweep.analysis.figures.curves import draw_pruned_curves
from resnet_sweep.analysis.figures.parallel import draw_parallel
from resnet_sweep.analysis.objective import Objective
from resnet_sweep.analysis.runs import runs_table
from resnet_sweep.analysis.view import View, build_view
from resnet_sweep.reporting.style import BLUE, ORANGE, figure_style


@pytest.fixture(scope="module")
def view(checked_root: Path) -> View:
    archive = read_archive(checked_root)
    return build_view(archive, runs_table(archive), Objective("val_accuracy", 1))


def by_effect(chosen: Chosen) -> list[str]:
    effects = partial_effects(chosen.columns(), chosen.means)
    return sorted(effects, key=lambda name: -effects[name][0])


def share_of_range(values: list[Any]) -> np.ndarray:
    """Return the places between the least and the greatest; NaN outside the branch."""
    x = np.array(values, float)
    shares: np.ndarray = (x - np.nanmin(x)) / (np.nanmax(x) - np.nanmin(x))
    return shares


# ---- parallel coordinates ----


def heights(values: list[Any]) -> np.ndarray:
    """Return the places on an axis: levels of texts evenly, in the order of the alphabet."""
    if any(isinstance(value, str) for value in values):
        levels = sorted({value for value in values if value is not None})
        values = [None if value is None else levels.index(value) for value in values]
    return share_of_range(values)


def test_the_lines_of_the_parallel_coordinates(view: View, raw_chosen: Chosen) -> None:
    with figure_style():
        axes = draw_parallel(view).axes[0]
    names = [label.get_text() for label in axes.get_xticklabels()]
    assert names == by_effect(raw_chosen)
    [lines] = [c for c in axes.collections if isinstance(c, LineCollection)]
    segments = np.stack([np.asarray(each) for each in lines.get_segments()])
    assert (segments[:, :, 0] == np.arange(len(names))).all()
    order = np.argsort(raw_chosen.means)  # the best on top
    np.testing.assert_allclose(lines.get_array(), np.array(raw_chosen.means)[order])
    wanted = np.stack([heights(raw_chosen.columns()[name]) for name in names], 1)[order]
    absent = np.isnan(wanted)
    np.testing.assert_allclose(segments[:, :, 1][~absent], wanted[~absent])
    assert absent.any() and (segments[:, :, 1][absent] < 0).all()


# ---- curves of pruned trials ----


def curves_of(figure: Figure, color: str) -> list[list[tuple[float, float]]]:
    [lines] = [
        c
        for c in figure.axes[0].collections
        if isinstance(c, LineCollection) and tuple(c.get_colors()[0][:3]) == to_rgb(color)
    ]
    return sorted([(float(x), float(y)) for x, y in each] for each in lines.get_segments())


def test_the_curves_of_pruned_and_completed_trials(
    view: View, raw_ranked: dict[str, Any], raw_trials: list[dict[str, Any]]
) -> None:
    with figure_style():
        figure = draw_pruned_curves(view)
    stopped = []
    for state, color in (("completed", BLUE), ("pruned", ORANGE)):
        runs = [raw_ranked[f"s/{t['run_dir']}"] for t in raw_trials if t["state"] == state]
        assert {run["result"]["status"] for run in runs} == {state}
        wanted = sorted([(r["epoch"], r["val_accuracy"]) for r in run["rows"]] for run in runs)
        assert curves_of(figure, color) == wanted
        texts = [text.get_text() for text in figure.legends[0].get_texts()]
        assert f"{state} ({len(runs)})" in texts
        stopped = [run["rows"][-1]["epoch"] for run in runs]
    assert f"after {np.median(stopped):g}" in figure.axes[0].get_title()
