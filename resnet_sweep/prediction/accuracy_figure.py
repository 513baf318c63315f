"""The figure: accuracy over the strengths of each corruption, and on whole sets below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from resnet_sweep.config.predict import CORRUPTED, NUM_STRENGTHS, TEST
from resnet_sweep.prediction.accuracy_table import MEAN, Row
from resnet_sweep.prediction.scoring import Accuracy
from resnet_sweep.reporting.style import CYCLE, GREY, new_figure, plain
from resnet_sweep.reporting.tables import printable

COLUMNS = 3
PANEL_HEIGHT = 1.7
LINE_HEIGHT = 0.26
MARKERS = "osD^vP*"
LINES = ("-", "--", ":", "-.")


def draw_accuracies(rows: Sequence[Row]) -> Figure:
    """Draw all nets into the same panels; bars are 95% intervals."""
    nets = list(dict.fromkeys(row.net for row in rows))
    panels = list(dict.fromkeys(row.images for row in rows if row.input == CORRUPTED))
    sets = list(dict.fromkeys(row.images for row in rows if row.input != CORRUPTED))
    heights = [PANEL_HEIGHT] * -(-len(panels) // COLUMNS)
    if sets:
        heights.append(0.9 + LINE_HEIGHT * len(sets) * max(1.0, 0.5 * len(nets)))
    figure = new_figure(sum(heights) + 0.3 + 0.2 * -(-len(nets) // 2))
    grid = figure.add_gridspec(len(heights), COLUMNS, height_ratios=heights)
    first: Axes | None = None
    for place, name in enumerate(panels):
        axes = figure.add_subplot(grid[place // COLUMNS, place % COLUMNS], sharey=first)
        first = first or axes
        _draw_corruption(axes, name, rows, nets)
        is_left, is_low = place % COLUMNS == 0, place + COLUMNS >= len(panels)
        axes.set(ylabel="accuracy" if is_left else None, xlabel="strength" if is_low else None)
        axes.tick_params(labelleft=is_left, labelbottom=is_low)
    if sets:
        _draw_sets(figure.add_subplot(grid[-1, :]), sets, rows, nets)
    for place, net in enumerate(nets):
        figure.axes[-1].plot([], [], label=plain(printable(net), 60), **_look(place))
    figure.legend(loc="outside lower center", ncols=min(2, len(nets)))
    return figure


def _draw_corruption(axes: Axes, images: str, rows: Sequence[Row], nets: Sequence[str]) -> None:
    """Draw one corruption; strength 0 is the test set, where that is among the inputs."""
    for place, net in enumerate(nets):
        row = next(row for row in rows if (row.images, row.net) == (images, net))
        clean = [each.overall for each in rows if (each.images, each.net) == (TEST, net)]
        scores = {**dict(zip([0], clean, strict=False)), **row.strengths}
        x = [strength + _offset(place, len(nets), 0.12) for strength in scores]
        y = [score.accuracy for score in scores.values()]
        bars = list(zip(*map(_bar, scores.values()), strict=True))
        axes.errorbar(x, y, bars, capsize=1.5, lw=1.2, elinewidth=0.8, **_look(place))
    weight = "bold" if row.part == MEAN else None
    axes.set_title((row.part or images).replace("_", " "), fontweight=weight)
    axes.set_xticks(range(NUM_STRENGTHS + 1), ["clean", *map(str, range(1, NUM_STRENGTHS + 1))])
    axes.set_xlim(-0.4 if clean else 0.6, NUM_STRENGTHS + 0.4)


def _draw_sets(axes: Axes, sets: Sequence[str], rows: Sequence[Row], nets: Sequence[str]) -> None:
    """Draw whole sets as points, one line each."""
    for place, net in enumerate(nets):
        own = {row.images: row.overall for row in rows if row.net == net}
        scores = [own[images] for images in sets]
        y = [line + _offset(place, len(nets), 0.5) for line in range(len(sets))]
        bars = list(zip(*map(_bar, scores), strict=True))
        look = {**_look(place), "ls": "none"}
        x = [score.accuracy for score in scores]
        axes.errorbar(x, y, xerr=bars, capsize=2, elinewidth=1.0, **look)
    labels = [f"{plain(printable(images), 40)} (n={own[images].num_images:,})" for images in sets]
    axes.set_yticks(range(len(sets)), labels)
    axes.set_ylim(len(sets) - 0.4, -0.6)
    if len(sets) > 1 and sets[0] == TEST:
        axes.axhline(0.5, color=GREY, lw=0.6)
    axes.set_xlabel("accuracy, with 95% interval (a mean over strengths where a set has them)")


def _bar(score: Accuracy) -> tuple[float, float]:
    low, high = score.interval
    return max(0.0, score.accuracy - low), max(0.0, high - score.accuracy)


def _offset(place: int, count: int, room: float) -> float:
    """Keep the bars of several nets apart."""
    return 0.0 if count == 1 else room * (place / (count - 1) - 0.5)


def _look(place: int) -> dict[str, Any]:
    return {
        "color": CYCLE[place % len(CYCLE)],
        "marker": MARKERS[place % len(MARKERS)],
        "ls": LINES[place % len(LINES)],
        "ms": 3.5,
    }
