"""Which classes the best run takes for which."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from resnet_sweep.analysis.view import View
from resnet_sweep.records.run_folder import Predictions, RecordError, read_predictions
from resnet_sweep.reporting.confusion import count_confusion
from resnet_sweep.reporting.confusion import draw_confusion as draw_matrix
from resnet_sweep.reporting.statistics import Array
from resnet_sweep.reporting.style import BLUE, NotDrawnError, new_figure, plain

NUM_WORST = 10


def confusion_matrix(predictions: Predictions) -> npt.NDArray[np.int64]:
    """Return counts [true class, predicted class]."""
    classes = len(predictions.class_names)
    guesses = predictions.probabilities.argmax(1)
    return count_confusion(predictions.labels, guesses, classes)


def best_predictions(view: View) -> tuple[str, Predictions]:
    """Return the best run that stored its predictions.

    Raises:
        NotDrawnError: none of the ten best did.
    """
    paths = view.archive.paths
    for run in view.best_runs(10):
        try:
            return run, read_predictions(paths[run])
        except RecordError:
            continue
    raise NotDrawnError("none of the best runs has stored validation predictions")


def draw_confusion(view: View) -> Figure:
    """Draw the shares of each true class, and the classes with the lowest recall."""
    run, predictions = best_predictions(view)
    counts = confusion_matrix(predictions)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    names = [plain(str(name), 18) for name in predictions.class_names]
    figure = new_figure(5.2, 10.4)
    left, right = figure.subplots(1, 2, width_ratios=[1.7, 1], gridspec_kw={"wspace": 0.12})
    draw_matrix(figure, left, counts, [str(name) for name in predictions.class_names])
    _draw_worst(right, shares, counts, names)
    figure.suptitle(f"{plain(run)}, {len(predictions.labels)} validation images", fontsize=9)
    return figure


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
