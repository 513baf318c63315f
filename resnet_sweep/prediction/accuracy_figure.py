"""The figure: accuracy over the strengths of each corruption, and on whole sets below."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from resnet_sweep.prediction.scoring import Accuracy
from resnet_sweep.prediction.shift_scores import (
    ALL_CORRUPTIONS,
    CLEAN,
    CORRUPTION,
    CUSTOM,
    ModelScores,
    Report,
    Row,
)
from resnet_sweep.reporting.style import CYCLE, GREY, new_figure, plain
from resnet_sweep.reporting.tables import printable

COLUMNS = 3
PANEL_HEIGHT = 1.7
LINE_HEIGHT = 0.26
MARKERS = "osD^vP*"
LINES = ("-", "--", ":", "-.")


def draw_report(report: Report) -> Figure:
    """Draw all models into the same panels; bars are 95% intervals."""
    names = [row.name for row in report.models[0].rows if row.kind == CORRUPTION]
    custom = [row.name for row in report.models[0].rows if row.kind == CUSTOM]
    num_rows = -(-len(names) // COLUMNS)
    lines = 1 + len(custom)  # the clean test set is the first
    lower = 0.9 + LINE_HEIGHT * lines * max(1.0, 0.5 * len(report.models))
    heights = [PANEL_HEIGHT] * num_rows + [lower]
    figure = new_figure(sum(heights) + 0.3 + 0.2 * -(-len(report.models) // 2))
    grid = figure.add_gridspec(len(heights), COLUMNS, height_ratios=heights)
    first: Axes | None = None
    for place, name in enumerate(names):
        axes = figure.add_subplot(grid[place // COLUMNS, place % COLUMNS], sharey=first)
        first = first or axes
        _draw_corruption(axes, name, report)
        is_left, is_low = place % COLUMNS == 0, place + COLUMNS >= len(names)
        axes.set(ylabel="accuracy" if is_left else None, xlabel="strength" if is_low else None)
        axes.tick_params(labelleft=is_left, labelbottom=is_low)
    _draw_sets(figure.add_subplot(grid[-1, :]), ["test set", *custom], report)
    for place, model in enumerate(report.models):
        figure.axes[-1].plot([], [], label=plain(printable(model.run), 60), **_look(place))
    figure.legend(loc="outside lower center", ncols=min(2, len(report.models)))
    return figure


def _draw_corruption(axes: Axes, name: str, report: Report) -> None:
    for place, model in enumerate(report.models):
        scores = {0: _find(model, CLEAN).overall, **_find(model, CORRUPTION, name).strengths}
        x = [strength + _offset(place, len(report.models), 0.12) for strength in scores]
        y = [score.accuracy for score in scores.values()]
        bars = list(zip(*map(_bar, scores.values()), strict=True))
        axes.errorbar(x, y, bars, capsize=1.5, lw=1.2, elinewidth=0.8, **_look(place))
    axes.set_title(name.replace("_", " "), fontweight="bold" if name == ALL_CORRUPTIONS else None)
    axes.set_xticks(range(6), ["clean", *"12345"])


def _draw_sets(axes: Axes, names: list[str], report: Report) -> None:
    """Draw whole sets as points, one line each."""
    for place, model in enumerate(report.models):
        rows = [_find(model, CLEAN), *(_find(model, CUSTOM, name) for name in names[1:])]
        y = [line + _offset(place, len(report.models), 0.5) for line in range(len(rows))]
        x = [row.overall.accuracy for row in rows]
        bars = list(zip(*(_bar(row.overall) for row in rows), strict=True))
        look = {**_look(place), "ls": "none"}
        axes.errorbar(x, y, xerr=bars, capsize=2, elinewidth=1.0, **look)
    labels = [_label(name, report) for name in names]
    axes.set_yticks(range(len(names)), labels)
    axes.set_ylim(len(names) - 0.4, -0.6)
    if len(names) > 1:
        axes.axhline(0.5, color=GREY, lw=0.6)
    axes.set_xlabel("accuracy, with 95% interval (a mean over strengths where a set has them)")


def _label(name: str, report: Report) -> str:
    rows = [row for row in report.models[0].rows if row.name == name]
    return f"{plain(printable(name), 40)} (n={rows[0].overall.num_images:,})"


def _find(model: ModelScores, kind: str, name: str | None = None) -> Row:
    return next(row for row in model.rows if row.kind == kind and name in (None, row.name))


def _bar(score: Accuracy) -> tuple[float, float]:
    low, high = score.interval
    return max(0.0, score.accuracy - low), max(0.0, high - score.accuracy)


def _offset(place: int, count: int, room: float) -> float:
    """Keep the bars of several models apart."""
    return 0.0 if count == 1 else room * (place / (count - 1) - 0.5)


def _look(place: int) -> dict[str, Any]:
    return {
        "color": CYCLE[place % len(CYCLE)],
        "marker": MARKERS[place % len(MARKERS)],
        "ls": LINES[place % len(LINES)],
        "ms": 3.5,
    }
