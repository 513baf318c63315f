"""Effects as points with their intervals; zero is nothing gained."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from resnet_sweep.comparison.contrasts import Effect, Effects
from resnet_sweep.comparison.steps import Step, Values
from resnet_sweep.reporting.style import BLUE, GREY, VERMILION, figure_style, new_figure, plain

COLORS = {"better": BLUE, "worse": VERMILION, "undecided": GREY}
LONGEST = 34  # letters of a name


@dataclass(frozen=True)
class Mark:
    """A point with its interval, in points."""

    name: str
    value: float
    low: float
    high: float
    verdict: str


def draw_screening(effects: Effects, title: str) -> Figure:
    """Draw the main effects, largest first, and the strings of interactions."""
    with figure_style():
        figure = new_figure(height=1.6 + 0.24 * (len(effects.main) + len(effects.interactions)))
        groups = [effects.main, effects.interactions] if effects.interactions else [effects.main]
        ratios = [len(group) + 0.8 for group in groups]
        panels = figure.subplots(len(groups), 1, sharex=True, height_ratios=ratios, squeeze=False)
        titles = (title, "strings of two-factor interactions: each stands for a sum of pairs")
        for axes, group, said in zip(panels[:, 0], groups, titles, strict=False):
            _draw(axes, [_mark(effect) for effect in _by_size(group)], said)
        panels[-1, 0].set_xlabel("effect on validation accuracy, points; 95% intervals of all rows")
        return figure


def draw_steps(steps: Sequence[Step], values: Values, title: str, against: str) -> Figure:
    """Draw each recipe's seeds and mean, and beside them what its change did.

    Args:
        against: which recipe it is compared with.
    """
    with figure_style():
        figure = new_figure(height=1.7 + 0.32 * len(steps))
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=[1.1, 1])
        for row, (step, seeds) in enumerate(zip(steps, values, strict=True)):
            left.scatter(100 * seeds, [row] * len(seeds), s=9, color=GREY, alpha=0.6, lw=0)
            left.scatter(100 * step.accuracy.mean, row, s=55, marker="|", color=BLUE, lw=2)
        left.set_xlabel("validation accuracy, %: seeds and mean")
        marks = [_step_mark(step) for step in steps]
        _draw(right, marks, against)
        right.set_xlabel("paired difference, points")
        left.set_title(title)
        left.grid(axis="y", visible=False)
        return figure


def _by_size(effects: list[Effect]) -> list[Effect]:
    return sorted(effects, key=lambda effect: -abs(effect.difference))


def _mark(effect: Effect) -> Mark:
    short = effect.name if len(effect.name) <= LONGEST else f"{effect.name[: LONGEST - 3]}..."
    bounds = (100 * effect.low, 100 * effect.high)
    return Mark(short, 100 * effect.difference, *bounds, effect.verdict)


def _step_mark(step: Step) -> Mark:
    value = math.nan if step.step is None else 100 * step.step.difference
    return Mark(step.name, value, 100 * step.low, 100 * step.high, step.verdict)


def _draw(axes: Axes, marks: list[Mark], title: str) -> None:
    for row, mark in enumerate(marks):
        color = COLORS.get(mark.verdict, GREY)
        if not math.isnan(mark.low):
            axes.plot([mark.low, mark.high], [row, row], color=color, lw=1.6)
        axes.scatter(mark.value, row, s=22, color=color, zorder=3)
    axes.axvline(0, color="black", lw=0.8)
    axes.set_yticks(range(len(marks)), [plain(mark.name, LONGEST) for mark in marks])
    axes.set_ylim(len(marks) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.set_title(title)
