"""The bars, floors and marginal means that the figures show equal those from the raw files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import raw_numbers as raw
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from raw_importance import (
    Chosen,
    noise_floors,
    partial_effects,
    permutation_floors,
)

from resnet_sweep.analysis.archive import read_archive
from resnet_sweep.analysis.figures.hyperparameters import draw_effects, draw_importance
from resnet_sweep.analysis.objective import Objective
from resnet_sweep.analysis.runs import runs_table
from resnet_sweep.analysis.view import View, build_view
from resnet_sweep.reporting.style import BLACK, VERMILION, figure_style

pytestmark = pytest.mark.usefixtures("quiet_optuna")


@pytest.fixture(scope="module")
def view(checked_root: Path) -> View:
    archive = read_archive(checked_root)
    return build_view(archive, runs_table(archive), Objective("val_accuracy", 1))


@pytest.fixture(scope="module")
def figure(view: View) -> Figure:
    with figure_style():
        return draw_importance(view)


def names_of(figure: Figure) -> list[str]:
    return [label.get_text() for label in figure.axes[0].get_yticklabels()]


def bars(figure: Figure, panel: int) -> dict[str, float]:
    names = names_of(figure)
    patches: list[Any] = list(figure.axes[panel].patches)
    return {
        names[round(each.get_y() + each.get_height() / 2)]: each.get_width() for each in patches
    }


def marks(figure: Figure, panel: int, color: str) -> dict[str, float]:
    """Return the floor drawn across each bar."""
    lines = [line for line in figure.axes[panel].lines if line.get_color() == color]
    places = [np.asarray(line.get_ydata(), float).mean() for line in lines]
    floors = [float(np.asarray(line.get_xdata())[0]) for line in lines]
    return {names_of(figure)[round(at)]: x for at, x in zip(places, floors, strict=True)}


def test_the_bars_are_the_partial_effects(figure: Figure, raw_chosen: Chosen) -> None:
    effects = partial_effects(raw_chosen.columns(), raw_chosen.means)
    assert bars(figure, 0) == pytest.approx({name: e for name, (e, _) in effects.items()})


def test_the_permutation_floors(figure: Figure, raw_chosen: Chosen) -> None:
    floors = permutation_floors(raw_chosen.columns(), raw_chosen.means)
    assert marks(figure, 0, BLACK) == pytest.approx(floors)
    assert 0.05 < min(floors.values()) < max(floors.values()) < 0.5


def test_the_noise_floors(
    figure: Figure,
    raw_chosen: Chosen,
    raw_ranked: dict[str, Any],
    raw_groups: list[dict[int, list[str]]],
) -> None:
    sd, _ = raw.pooled([raw.seed_means(raw_ranked, s, "val_accuracy") for s in raw_groups])
    floors = noise_floors(raw_chosen.columns(), raw_chosen.means, sd)
    assert marks(figure, 0, VERMILION) == pytest.approx(floors)


# ---- effects ----


def panel_of(view: View, name: str) -> Axes:
    with figure_style():
        figure = draw_effects(view)
    return next(axes for axes in figure.axes if axes.get_title().splitlines()[0] == name)


def drawn_means(axes: Axes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return places, means and half intervals of the vermilion points."""
    [container] = axes.containers
    points, _, [bar] = container
    heights = np.array([segment[:, 1] for segment in bar.get_segments()])
    halves = (heights[:, 1] - heights[:, 0]) / 2
    return np.asarray(points.get_xdata(), float), np.asarray(points.get_ydata(), float), halves


@pytest.mark.slow
@pytest.mark.parametrize("name", ["optimizer", "augmentation", "model.blocks[0]"])
def test_the_mean_at_each_level(view: View, raw_chosen: Chosen, name: str) -> None:
    values = raw_chosen.plain()[name]
    y = np.array(raw_chosen.means)
    groups = [y[[value == level for value in values]] for level in sorted(set(values))]
    _, means, halves = drawn_means(panel_of(view, name))
    wanted = [raw.interval(group.tolist()) for group in groups]
    np.testing.assert_allclose(means, [mean for mean, _, _ in wanted])
    np.testing.assert_allclose(halves, [high - mean for mean, _, high in wanted])


def test_the_mean_over_each_share_of_a_number(view: View, raw_chosen: Chosen) -> None:
    x = np.array(raw_chosen.plain()["regularization.dropout"])
    edges = np.quantile(x, np.linspace(0, 1, 7))
    inside = np.clip(np.searchsorted(edges, x, "left") - 1, 0, 5)
    groups = [np.array(raw_chosen.means)[inside == share] for share in range(6)]
    places, means, halves = drawn_means(panel_of(view, "regularization.dropout"))
    wanted = [raw.interval(group.tolist()) for group in groups]
    np.testing.assert_allclose(places, [x[inside == share].mean() for share in range(6)])
    np.testing.assert_allclose(means, [mean for mean, _, _ in wanted])
    np.testing.assert_allclose(halves, [high - mean for mean, _, high in wanted])
