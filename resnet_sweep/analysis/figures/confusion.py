"""Which classes the best run takes for which."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from resnet_sweep.analysis.view import View
from resnet_sweep.records.run_folder import Predictions, RecordError, read_predictions
from resnet_sweep.reporting.statistics import Array, count_confusion
from resnet_sweep.reporting.style import BLUE, COLORMAP, NotDrawnError, new_figure, plain

NUM_WORST = 10
MAX_NAMED = 20  # classes
LEAST_SHOWN = 0.005  # share whose number is written


def confusion_matrix(predictions: Predictions) -> npt.NDArray[np.int64]:
    """Return counts [true class, predicted class]."""
    classes = len(predictions.class_names)
    return count_confusion(predictions.labels, predictions.probabilities.argmax(1), classes)


def draw_confusion(view: View) -> Figure:
    """Draw the shares of each true class, and the classes with the lowest recall.

    Those of the best run that stored its predictions.
    """
    paths = view.archive.paths
    for run in view.best_runs(10):
        try:
            predictions = read_predictions(paths[run])
            break
        except RecordError:
            continue
    else:
        raise NotDrawnError("none of the best runs has stored validation predictions")
    counts = confusion_matrix(predictions)
    totals = counts.sum(1, keepdims=True)
    shares = np.where(totals > 0, counts / np.maximum(totals, 1), np.nan)
    names = [plain(str(name), 18) for name in predictions.class_names]
    figure = new_figure(5.2, 10.4)
    left, right = figure.subplots(1, 2, width_ratios=[1.7, 1], gridspec_kw={"wspace": 0.12})
    _draw_shares(figure, left, shares, names)
    _draw_worst(right, shares, counts, names)
    figure.suptitle(f"{plain(run)}, {len(predictions.labels)} validation images", fontsize=9)
    return figure


def _draw_shares(figure: Figure, axes: Axes, shares: Array, names: list[str]) -> None:
    """Draw each true class's shares in percent; a class without images stays empty."""
    image = axes.imshow(shares, cmap=COLORMAP, vmin=0, vmax=1)
    axes.grid(visible=False)
    axes.set(xlabel="predicted class", ylabel="true class")
    label = "share of the true class (fraction)"
    figure.colorbar(image, ax=axes, label=label, shrink=0.8, pad=0.03)
    if len(names) > MAX_NAMED:
        return
    axes.set_xticks(range(len(names)), names, rotation=60, ha="right")
    axes.set_yticks(range(len(names)), names)
    for (row, column), share in np.ndenumerate(shares):
        if share >= LEAST_SHOWN:
            color = "black" if share > 0.45 else "white"
            text = f"{100 * share:.0f}"
            axes.text(column, row, text, ha="center", va="center", color=color, fontsize=7)


def _draw_worst(axes: Axes, shares: Array, counts: npt.NDArray[np.int64], names: list[str]) -> None:
    present = np.flatnonzero(counts.sum(1))
    worst = present[np.argsort(np.diag(shares)[present], kind="stable")][:NUM_WORST]
    axes.barh(range(len(worst)), np.diag(shares)[worst], color=BLUE)
    axes.set_yticks(range(len(worst)), [names[i] for i in worst])
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set(xlabel="recall (fraction)", xlim=(0, 1), xticks=[0, 0.25, 0.5, 0.75, 1])
    axes.set_title("worst classes → taken for")
    for place, index in enumerate(worst):
        wrong = counts[index].copy()
        wrong[index] = 0
        if wrong.any():
            text = f" → {names[int(wrong.argmax())]}"
            inside = bool(shares[index, index] > 0.7)
            axes.text(
                shares[index, index],
                place,
                f"{text} " if inside else text,
                va="center",
                ha="right" if inside else "left",
                color="white" if inside else "black",
                fontsize=7,
            )
