"""The figure of a confirmation: every seed, every interval, what was promised and what was kept."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from resnet_sweep.confirmation.findings import Findings, Seeds, Tested
from resnet_sweep.reporting.style import (
    BLACK,
    BLUE,
    GREY,
    ORANGE,
    VERMILION,
    figure_style,
    keep_to_fractions,
    new_figure,
    plain,
    short_number,
)

SPREAD = 0.16  # of the seeds, in rows
COLORS = {"chosen": VERMILION, "cannot be told apart": BLUE}


def draw(findings: Findings) -> Figure:
    rows, tested = len(findings.choice.rivals), len(findings.test.groups)
    with figure_style():
        figure = new_figure(height=2.3 + 0.42 * (rows + tested))
        upper, lower = figure.subplots(2, 1, height_ratios=[rows + 0.8, tested + 0.8])
        _draw_choice(upper, findings)
        _draw_test(lower, findings.test)
        handles, labels = upper.get_legend_handles_labels()
        unique = dict(zip(labels, handles, strict=True))
        figure.legend(unique.values(), unique.keys(), loc="outside lower center", ncols=3)
        return figure


def _draw_choice(axes: Axes, findings: Findings) -> None:
    rivals = findings.choice.rivals
    for row, rival in enumerate(rivals):
        verdict = findings.choice.verdict(rival)
        _draw_seeds(axes, row, rival.seeds, COLORS.get(verdict, GREY), verdict)
        promised = rival.candidate.promised
        axes.plot(promised, row, "D", mfc="none", mec=BLACK, ms=5, label="accuracy in the sweep")
    rows = {rival.candidate.trial: row for row, rival in enumerate(rivals)}
    for each in findings.over_promises:
        place = rows[each.candidate.trial] + 0.3
        _draw_seeds(axes, place, each.seeds, ORANGE, "fresh seeds, the sweep's split")
    sizes = [short_number(float(f"{rival.candidate.num_params:.3g}")) for rival in rivals]
    labels = [
        f"{rival.candidate.label}\n{size} parameters"
        for rival, size in zip(rivals, sizes, strict=True)
    ]
    _finish(axes, labels, "validation accuracy (fraction)")
    axes.set_title("Chosen on a fresh split of the training images")


def _draw_test(axes: Axes, test: Tested) -> None:
    for row, seeds in enumerate(test.groups):
        _draw_seeds(axes, row, seeds, VERMILION if row == 0 else BLACK, seeds.label)
    _finish(axes, [plain(seeds.label, 20) for seeds in test.groups], "test accuracy (fraction)")
    axes.set_title("Read from the test set, once by each run")


def _draw_seeds(axes: Axes, row: float, seeds: Seeds, color: str, label: str) -> None:
    """Draw each seed as a point, and the mean with its interval."""
    interval, values = seeds.interval, np.array(seeds.values)
    if not len(values):
        return
    offsets = np.linspace(-SPREAD, SPREAD, len(values)) if len(values) > 1 else np.zeros(1)
    axes.scatter(values, row + 0.5 * offsets, s=11, color=color, alpha=0.55, lw=0, zorder=2)
    if not math.isnan(interval.low):
        axes.plot([interval.low, interval.high], [row, row], color=color, lw=1.6, zorder=3)
    axes.scatter(interval.mean, row, s=52, marker="|", color=color, lw=2, label=label, zorder=3)


def _finish(axes: Axes, labels: list[str], quantity: str) -> None:
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.35, -0.6)
    axes.grid(axis="y", visible=False)
    keep_to_fractions(axes)
    axes.xaxis.set_major_locator(MaxNLocator(7))
    axes.set_xlabel(quantity)
