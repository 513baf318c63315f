"""How much each hyperparameter matters, with the floors of chance and of seed noise."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from resnet_sweep.analysis.importance import F_TEST_PERMUTATIONS, FTest
from resnet_sweep.analysis.view import View
from resnet_sweep.reporting.style import (
    BLACK,
    BLUE,
    GREY,
    VERMILION,
    NotDrawnError,
    new_figure,
    plain,
)

MAX_BARS = 20


def draw_importance(view: View) -> Figure:
    """Draw the effect of each hyperparameter by the F-tests, and the floors."""
    tests = view.importance.tests[:MAX_BARS]
    if not tests:
        raise NotDrawnError(view.importance.reason or "nothing was varied")
    figure = new_figure(1.7 + 0.27 * len(tests))
    axes = figure.subplots()
    axes.set_yticks(range(len(tests)), [plain(test.parameter.name, 36) for test in tests])
    axes.invert_yaxis()
    for place, test in enumerate(tests):
        axes.barh(place, test.effect, color=BLUE if test.matters else GREY, height=0.6)
        _mark(axes, test.permutation_floor, place, BLACK)
        if not math.isnan(test.noise_floor):
            _mark(axes, test.noise_floor, place, VERMILION)
    floor = f"permutation floor: the 95% quantile of {F_TEST_PERMUTATIONS} shuffles"
    axes.set_xlabel(f"partial eta squared (fraction)\n{floor}")
    axes.grid(axis="y", visible=False)
    _add_legend(figure, tests, view.configurations.noise_of_all.groups)
    return figure


def _mark(axes: Axes, x: float, place: int, color: str) -> None:
    axes.plot([x, x], [place - 0.38, place + 0.38], color=color, lw=2)


def _add_legend(figure: Figure, tests: list[FTest], num_repeated: int) -> None:
    handles: list[Line2D | Patch] = [
        Patch(color=BLUE, label="matters"),
        Patch(color=GREY, label="cannot tell"),
        Line2D([], [], color=BLACK, lw=2, label="permutation floor"),
    ]
    if any(not math.isnan(test.noise_floor) for test in tests):
        source = "1 configuration" if num_repeated == 1 else f"{num_repeated} configurations"
        label = f"seed-noise floor (from {source})"
        handles.append(Line2D([], [], color=VERMILION, lw=2, label=label))
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
