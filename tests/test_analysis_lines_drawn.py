"""The contour, the parallel coordinates and the pruned curves show what the raw files hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from raw_importance import LOGS, Chosen, partial_effects

from resnet_sweep.analysis.archive import read_archive
from resnet_sweep.analysis.figures.contour import draw_contour
from resnet_sweep.analysis.figures.curves import draw_pruned_curves
from resnet_sweep.analysis.figures.parallel import draw_parallel
from resnet_sweep.analysis.objective import Objective
from resnet_sweep.analysis.view import View, build_view
from resnet_sweep.reporting.style import BLUE, ORANGE, figure_style
from resnet_sweep.reporting.table import runs_table

BANDWIDTH, LEAST_WEIGHT, LEAST_POINTS = 0.12, 0.25, 12


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


# ---- contour ----


def first_pair(chosen: Chosen) -> tuple[str, str]:
    """Return the two numbers of the largest effects that were drawn together."""
    columns = chosen.columns()
    numbers = [n for n in by_effect(chosen) if not any(isinstance(v, str) for v in columns[n])]
    for i, first in enumerate(numbers):
        for second in numbers[i + 1 :]:
            pairs = zip(columns[first], columns[second], strict=True)
            if sum(None not in pair for pair in pairs) >= LEAST_POINTS:
                return first, second
    raise AssertionError


def test_the_points_of_the_contour(view: View, raw_chosen: Chosen) -> None:
    with figure_style():
        axes = draw_contour(view).axes[0]
    pair = first_pair(raw_chosen)
    assert (axes.get_xlabel(), axes.get_ylabel()) == pair
    x, y = (raw_chosen.plain()[name] for name in pair)
    wanted = sorted(p for p in zip(x, y, strict=True) if None not in p)
    found = next(c for c in axes.collections if len(c.get_offsets()) > 1).get_offsets()
    np.testing.assert_allclose(sorted(map(tuple, np.asarray(found))), wanted)


def test_the_surface_of_the_contour(
    view: View, raw_chosen: Chosen, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []
    fill = Axes.contourf

    def note(axes: Axes, *args: Any, **options: Any) -> Any:
        given.extend(np.asarray(each) for each in args[:3])
        return fill(axes, *args, **options)

    monkeypatch.setattr(Axes, "contourf", note)
    with figure_style():
        draw_contour(view)
    x_range, y_range, surface = given
    pair = first_pair(raw_chosen)
    columns = [raw_chosen.columns()[name] for name in pair]
    places = np.stack([share_of_range(column) for column in columns], 1)
    both = ~np.isnan(places).any(1)
    places, means = places[both], np.array(raw_chosen.means)[both]
    for drawn, name, column in zip((x_range, y_range), pair, columns, strict=True):
        known = [value for value in column if value is not None]
        ticks = np.linspace(min(known), max(known), len(drawn))
        np.testing.assert_allclose(drawn, 10**ticks if name in LOGS else ticks)
    filled = 0
    for row, v in enumerate(np.linspace(0, 1, len(y_range))):
        for column, u in enumerate(np.linspace(0, 1, len(x_range))):
            squares = (places[:, 0] - u) ** 2 + (places[:, 1] - v) ** 2
            weights = np.exp(-squares / (2 * BANDWIDTH**2))
            near = weights.sum() >= LEAST_WEIGHT
            wanted = (weights * means).sum() / weights.sum() if near else np.nan
            np.testing.assert_allclose(surface[row, column], wanted)
            filled += near
    assert 0 < filled < surface.size


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
