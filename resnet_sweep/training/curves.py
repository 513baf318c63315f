"""Curves of accuracy and loss over the epochs of one run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from resnet_sweep.records.run_folder import ACCURACIES, LOSSES, EpochMetrics
from resnet_sweep.system.atomic import replacing

# Okabe and Ito's blue and vermilion: apart for every kind of colour vision, and in grey.
TRAIN_COLOR, VAL_COLOR = "#0072B2", "#D55E00"


def draw_curves(history: Sequence[EpochMetrics], run_dir: Path) -> None:
    """Write accuracies.png and losses.png: training against validation over the epochs."""
    _draw(history, "accuracy", "accuracy (fraction)", run_dir / ACCURACIES)
    _draw(history, "loss", "cross-entropy (nats)", run_dir / LOSSES)


def _draw(history: Sequence[EpochMetrics], name: str, label: str, path: Path) -> None:
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    epochs = [row.epoch for row in history]
    marker = "o" if len(epochs) < 30 else ""
    train = [getattr(row, f"train_{name}") for row in history]
    axes.plot(epochs, train, color=TRAIN_COLOR, marker=marker, ms=3, label="training")
    val = [getattr(row, f"val_{name}") for row in history]
    if any(value is not None for value in val):
        axes.plot(epochs, val, color=VAL_COLOR, marker=marker, ms=3, ls="--", label="validation")
    axes.set(xlabel="epoch", ylabel=label, xlim=(0.5, len(epochs) + 0.5))
    if name == "loss" and _spans_decades([*train, *val]):
        axes.set_yscale("log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    with replacing(path) as file:
        figure.savefig(file, format="png", dpi=150)


def _spans_decades(values: Sequence[float | None]) -> bool:
    """Whether one axis in equal steps would flatten most of the values."""
    finite = [v for v in values if v is not None and math.isfinite(v) and v > 0]
    return bool(finite) and max(finite) / min(finite) > 100 and max(finite) > 10
