"""The confusion matrix: its counts, its shares and its picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from resnet_sweep.reporting.statistics import Array
from resnet_sweep.reporting.style import COLORMAP

MAX_NAMED = 20  # classes
LEAST_SHOWN = 0.005  # share of a class whose number is written


def count_confusion(
    labels: npt.NDArray[np.int64], guesses: npt.NDArray[np.int64], num_classes: int
) -> npt.NDArray[np.int64]:
    """Return counts [true class, predicted class]."""
    counts = np.bincount(labels * num_classes + guesses, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


def class_shares(counts: npt.NDArray[np.int64]) -> Array:
    """Return each true class's shares [true class, predicted class]; NaN without images of it."""
    totals = counts.sum(1, keepdims=True)
    return np.where(totals > 0, counts / np.maximum(totals, 1), np.nan)


def draw_confusion(figure: Figure, axes: Axes, shares: Array, names: Sequence[str]) -> None:
    """Draw each true class's shares, in percent where there are few classes.

    Args:
        names: labels of the classes, as `style.plain` makes them.
    """
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
