"""Which classes are taken for which: counted, and drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from resnet_sweep.reporting.style import COLORMAP, plain

Labels = npt.NDArray[np.int64]
MAX_NAMED = 20  # classes
LEAST_SHOWN = 0.005  # share whose number is written


def count_confusion(labels: Labels, guesses: Labels, num_classes: int) -> Labels:
    """Return counts [true class, predicted class]."""
    counts = np.bincount(labels * num_classes + guesses, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


def draw_confusion(figure: Figure, axes: Axes, counts: Labels, class_names: Sequence[str]) -> None:
    """Draw each true class's shares in percent; a class without images stays empty."""
    totals = counts.sum(1, keepdims=True)
    shares = np.where(totals > 0, counts / np.maximum(totals, 1), np.nan)
    image = axes.imshow(shares, cmap=COLORMAP, vmin=0, vmax=1)
    axes.grid(visible=False)
    axes.set(xlabel="predicted class", ylabel="true class")
    label = "share of the true class (fraction)"
    figure.colorbar(image, ax=axes, label=label, shrink=0.8, pad=0.03)
    if len(class_names) > MAX_NAMED:
        return
    names = [plain(name, 18) for name in class_names]
    axes.set_xticks(range(len(names)), names, rotation=60, ha="right")
    axes.set_yticks(range(len(names)), names)
    for (row, column), share in np.ndenumerate(shares):
        if share >= LEAST_SHOWN:
            color = "black" if share > 0.45 else "white"
            text = f"{100 * share:.0f}"
            axes.text(column, row, text, ha="center", va="center", color=color, fontsize=7)
