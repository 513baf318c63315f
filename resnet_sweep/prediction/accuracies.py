"""The accuracies on all inputs, with n and their intervals: one table and its figure."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from resnet_sweep.config.predict import (
    CORRUPTED,
    NUM_STRENGTHS,
    OWN_INPUTS,
    TEST,
    PredictConfig,
)
from resnet_sweep.data.corruption import PARAMETERS
from resnet_sweep.data.custom import CustomSet
from resnet_sweep.prediction.inputs import Input
from resnet_sweep.prediction.scoring import Accuracy, Outcome, measure_accuracy
from resnet_sweep.reporting.report import Report, Section
from resnet_sweep.reporting.style import CYCLE, GREY, new_figure, plain
from resnet_sweep.reporting.tables import Table, printable
from resnet_sweep.system.atomic import ESCAPE
from resnet_sweep.system.console import command
from resnet_sweep.system.environment import git_commit, versions
from resnet_sweep.training.trained_net import TrainedNet

SCHEMA_VERSION = 1
STEM = "accuracy"
WIDTH = 140  # of the table where standard output is no terminal
# Of the figure: panels in a row, and heights in inches.
COLUMNS = 3
PANEL_HEIGHT = 1.7
LINE_HEIGHT = 0.26
MARKERS = "osD^vP*"
LINES = ("-", "--", ":", "-.")
MEAN = "mean"
INTERVAL = (
    "Intervals: Wilson, 95%, over n images. A mean over strengths or corruptions counts each "
    "image once, which makes its interval rather too wide."
)
READING = "The test set is read to report, never to choose: choose by validation accuracy."


@dataclass(frozen=True)
class Row:
    """The accuracy of one net, or of an ensemble, on one set or one corruption of it.

    Args:
        input: as the user called it.
        part: a corruption's name, or MEAN; null: the whole input.
        net: which predictions these are.
        strengths: strength -> accuracy; empty where the set has none.
        overall: on all the images, or the mean over the strengths.
    """

    input: str
    part: str | None
    net: str
    strengths: dict[int, Accuracy]
    overall: Accuracy

    @property
    def images(self) -> str:
        return self.input if self.part is None else f"{self.input}: {self.part}"


def accuracy_rows(outcome: Outcome, each: bool) -> list[Row]:
    """Return the rows of one input; none where it has no labels.

    Args:
        each: the nets of an ensemble have rows of their own, too.
    """
    predictions, nets, custom = outcome.predictions, outcome.nets, outcome.custom
    if custom.labels is None:
        return []
    name = str(nets[0].run_dir) if len(nets) == 1 else f"ensemble of {len(nets)}"
    with_tta = f", tta={outcome.tta[0]}"
    guesses = {name: predictions.plain.argmax(1)}
    if predictions.augmented is not None:
        guesses[name + with_tta] = predictions.augmented.argmax(1)
    if each and len(nets) > 1:
        folders = [str(net.run_dir) for net in nets]
        guesses |= zip(folders, predictions.guesses, strict=True)
        if predictions.augmented_guesses is not None:
            names = [folder + with_tta for folder in folders]
            guesses |= zip(names, predictions.augmented_guesses, strict=True)
    hits = {net: found == custom.labels for net, found in guesses.items()}
    return [row for net, found in hits.items() for row in _rows_of_net(custom, net, found)]


def _rows_of_net(custom: CustomSet, net: str, hits: NDArray[np.bool_]) -> Iterator[Row]:
    given, net = escape(str(custom.path)), escape(net)
    if not custom.groups:
        yield Row(given, None, net, {}, measure_accuracy(hits))
        return
    rows = []
    for name in dict.fromkeys(group.name for group in custom.groups):
        groups = [group for group in custom.groups if group.name == name]
        scores = [measure_accuracy(hits[group.start : group.stop]) for group in groups]
        found = zip(groups, scores, strict=True)
        strengths = {group.severity: score for group, score in found if group.severity is not None}
        rows.append(Row(given, name, net, strengths, _mean(scores)))
    yield from rows
    if len(rows) > 1:
        strengths = {s: _mean([row.strengths[s] for row in rows]) for s in rows[0].strengths}
        yield Row(given, MEAN, net, strengths, _mean([row.overall for row in rows]))


def _mean(scores: Sequence[Accuracy]) -> Accuracy:
    """Return the mean over corruptions or strengths of the same images."""
    mean = sum(score.accuracy for score in scores) / len(scores)
    return Accuracy(mean, min(score.num_images for score in scores))


def escape(name: str) -> str:
    """Return a name in which what is no UTF-8 is written out."""
    return name.encode("utf-8", ESCAPE).decode()


def accuracy_report(
    rows: Sequence[Row], nets: Sequence[TrainedNet], inputs: Sequence[Input], config: PredictConfig
) -> Report:
    """Return the table of all rows as a report."""
    entries = [entry for row in rows for entry in _entries(row)]
    lines = [escape(f"{each.images.path}: {note}") for each in inputs for note in each.notes]
    lines.append("The columns of numbers are strengths, `overall` is their mean where there are.")
    lines.append(INTERVAL)
    if any(given in OWN_INPUTS for given in config.input):
        lines.append(READING)
    return Report(
        stem=STEM,
        title="Accuracy",
        command=escape(command("predict", *sys.argv[1:])),
        sections=[Section("Accuracy on each input", _table(rows), lines)],
        rows=entries,
        values=_values(entries, nets, inputs, config),
    )


def _table(rows: Sequence[Row]) -> Table:
    strengths = sorted({strength for row in rows for strength in row.strengths})
    is_one_net = len({row.net for row in rows}) == 1
    columns = ["images", *([] if is_one_net else ["net"]), "n", *map(str, strengths)]
    cells = []
    for row in rows:
        shown = [
            f"{row.strengths[s].accuracy:.4f}" if s in row.strengths else "" for s in strengths
        ]
        low, high = row.overall.interval
        overall = [f"{row.overall.accuracy:.4f}", f"{low:.4f} to {high:.4f}"]
        net = [] if is_one_net else [row.net]
        cells.append([row.images, *net, f"{row.overall.num_images:,}", *shown, *overall])
    return Table([*columns, "overall", "95% interval"], cells, numeric=0)


def _entries(row: Row) -> Iterator[dict[str, Any]]:
    """Yield one entry for each strength, and the overall one."""
    scores = {str(strength): score for strength, score in row.strengths.items()}
    scores[MEAN if row.strengths else ""] = row.overall
    for strength, score in scores.items():
        low, high = score.interval
        yield {
            "input": row.input,
            "part": row.part or "",
            "net": row.net,
            "strength": strength,
            "n": score.num_images,
            "accuracy": score.accuracy,
            "low": low,
            "high": high,
        }


def _values(
    entries: Sequence[dict[str, Any]],
    nets: Sequence[TrainedNet],
    inputs: Sequence[Input],
    config: PredictConfig,
) -> dict[str, Any]:
    fingerprints = [each.fingerprint for each in inputs if each.fingerprint is not None]
    return {
        "schema_version": SCHEMA_VERSION,
        "interval": INTERVAL,
        "inputs": [
            {
                "input": escape(str(each.images.path)),
                "folder": escape(each.folder) if len(inputs) > 1 else ".",
                "layout": each.images.layout,
                "num_images": len(each.images),
                "has_labels": each.images.labels is not None,
                "notes": [escape(note) for note in each.notes],
            }
            for each in inputs
        ],
        "nets": [
            {
                "run": escape(str(net.run_dir)),
                "num_params": sum(parameter.numel() for parameter in net.model.parameters()),
            }
            for net in nets
        ],
        "accuracies": entries,
        "seed": config.seed,
        "test_subset": config.test_subset,
        "data_fingerprint": fingerprints[0] if fingerprints else None,
        "corruption_parameters": PARAMETERS if CORRUPTED in config.input else None,
        "versions": versions(),
        "git_commit": git_commit(),
    }


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
