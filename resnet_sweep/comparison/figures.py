"""Gains as points with their intervals; zero is nothing gained."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from resnet_sweep.comparison.report import EFFECTS, INTERACTIONS
from resnet_sweep.records.comparison import Compared, Part, Row
from resnet_sweep.records.sweep_folder import EndedRun
from resnet_sweep.reporting.style import (
    BLUE,
    GREY,
    VERMILION,
    draw_interval,
    figure_style,
    name_rows,
    new_figure,
    plain,
)

COLORS = {"better": BLUE, "worse": VERMILION}
LONGEST = 34  # letters of a name
AGAINST = {"steps": "against the row above", "survivors": "against the start"}


def draw(compared: Compared) -> dict[str, Figure]:
    """Return the figures by the stems of their files."""
    figures: dict[str, Figure] = {}
    for part in compared.parts:
        if not part.rows or part.kind == INTERACTIONS:
            continue
        if part.kind == EFFECTS:
            figures["comparison"] = draw_effects(part, compared.part(INTERACTIONS), compared.title)
        elif part.kind == "survivors":
            figures["survivors"] = draw_gains(
                part, compared.survivor_runs, part.title, "validation"
            )
        else:
            split = "test" if compared.plan.split == "test" else "validation"
            figures["comparison"] = draw_gains(part, compared.runs, compared.title, split)
    return figures


def draw_effects(main: Part, interactions: Part | None, title: str) -> Figure:
    """Draw the main effects, largest first, and the strings of interactions."""
    groups = [main.rows, *([interactions.rows] if interactions else [])]
    with figure_style():
        figure = new_figure(height=1.6 + 0.24 * sum(map(len, groups)))
        ratios = [len(group) + 0.8 for group in groups]
        panels = figure.subplots(len(groups), 1, sharex=True, height_ratios=ratios, squeeze=False)
        titles = (title, "strings of two-factor interactions: each stands for a sum of pairs")
        for axes, group, said in zip(panels[:, 0], groups, titles, strict=False):
            _draw_rows(axes, sorted(group, key=lambda row: -abs(row.gain)), said)
        panels[-1, 0].set_xlabel("effect on validation accuracy, points; 95% intervals of all rows")
        return figure


def draw_gains(part: Part, runs: Sequence[EndedRun], title: str, split: str) -> Figure:
    """Draw each recipe's seeds and mean, and beside them what it gains."""
    with figure_style():
        figure = new_figure(height=1.7 + 0.32 * len(part.rows))
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=[1.1, 1])
        for place, row in enumerate(part.rows):
            seeds = [
                100 * r.accuracy
                for r in runs
                if r.configuration == row.name and r.accuracy is not None
            ]
            left.scatter(seeds, [place] * len(seeds), s=9, color=GREY, alpha=0.6, lw=0)
            left.scatter(100 * row.mean, place, s=55, marker="|", color=BLUE, lw=2)
        left.set_xlabel(f"{split} accuracy, %: seeds and mean")
        _draw_rows(right, part.rows, AGAINST.get(part.kind, f"against {part.rows[0].name}"))
        right.set_xlabel("paired difference, points")
        left.set_title(title)
        left.grid(axis="y", visible=False)
        return figure


def _draw_rows(axes: Axes, rows: Sequence[Row], title: str) -> None:
    for place, row in enumerate(rows):
        interval = (100 * row.gain, 100 * row.all_low, 100 * row.all_high)
        draw_interval(axes, place, interval, COLORS.get(row.verdict, GREY), marker="o", ms=4.5)
    axes.axvline(0, color="black", lw=0.8)
    name_rows(axes, [plain(row.name, LONGEST) for row in rows])
    axes.set_title(plain(title, 80))
