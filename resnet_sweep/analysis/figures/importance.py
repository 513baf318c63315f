"""How much each hyperparameter matters, with the floors of chance and of seed noise."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from resnet_sweep.analysis.evaluators import Shares, floor_text
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
FLOOR_SHOWN = 3  # times the largest bar; a floor beyond is told in words


def draw_importance(view: View) -> Figure:
    """Draw the F-tests, and Optuna's measures beside them."""
    shares = [each for each in (view.ped_anova, view.fanova) if each is not None]
    tests = view.importance.tests[:MAX_BARS]
    if not tests and not shares:
        raise NotDrawnError(view.importance.reason or "nothing was varied")
    names = [test.parameter.name for test in tests] or list(shares[0].values)[:MAX_BARS]
    figure = new_figure(1.7 + 0.27 * len(names), 7.2 + 2 * (len(shares) - 1))
    panels = np.atleast_1d(figure.subplots(1, 1 + len(shares), sharey=True))
    panels[0].set_yticks(range(len(names)), [plain(name, 36) for name in names])
    panels[0].invert_yaxis()
    _draw_tests(panels[0], tests)
    for axes, each in zip(panels[1:], shares, strict=True):
        _draw_shares(axes, each, names)
    _add_legend(figure, tests, view.configurations.noise_of_all.groups)
    return figure


def _draw_tests(axes: Axes, tests: list[FTest]) -> None:
    for place, test in enumerate(tests):
        axes.barh(place, test.effect, color=BLUE if test.matters else GREY, height=0.6)
        _mark(axes, test.permutation_floor, place, BLACK)
        if not math.isnan(test.noise_floor):
            _mark(axes, test.noise_floor, place, VERMILION)
    axes.set_title("additive F-tests (default)")
    axes.set_xlabel(
        "partial eta squared (fraction)\n"
        f"floor: the 95% quantile\nof {F_TEST_PERMUTATIONS} shuffles"
    )
    axes.grid(axis="y", visible=False)
    if not tests:
        axes.text(0.5, 0.5, "cannot tell", transform=axes.transAxes, ha="center")


def _mark(axes: Axes, x: float, place: int, color: str) -> None:
    axes.plot([x, x], [place - 0.38, place + 0.38], color=color, lw=2)


def _draw_shares(axes: Axes, shares: Shares, names: list[str]) -> None:
    for place, name in enumerate(names):
        value = shares.values.get(name)
        if value is None:
            axes.text(0, place, " not judged", va="center", color="0.35", fontsize=8)
            continue
        axes.barh(place, value, color=BLUE if value > shares.floor else GREY, height=0.6)
    axes.axvline(shares.floor, color=BLACK, lw=2)
    axes.set_title(f"{shares.method} ({shares.num_trials} trials)")
    floor = floor_text(shares).replace(" of ", "\nof ")
    axes.set_xlabel(f"share of importance (fraction)\nfloor: {floor}")
    axes.grid(axis="y", visible=False)
    largest = max(shares.values.values())
    if shares.floor > FLOOR_SHOWN * largest:  # drawn to scale, it would squeeze the bars flat
        axes.set_xlim(0, 1.5 * largest)
        text = f"floor at {shares.floor:.2g} →"
        axes.text(0.98, 0.02, text, transform=axes.transAxes, ha="right", fontsize=8)


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
