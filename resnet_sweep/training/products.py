"""What a finished run leaves beside its records: weights, predictions, figures."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from resnet_sweep.config.compose import to_dict
from resnet_sweep.records.checkpoint import write_model
from resnet_sweep.records.run_folder import (
    ACCURACIES,
    ARCHITECTURE,
    DIAGRAM,
    LOSSES,
    EpochMetrics,
    Predictions,
    write_predictions,
)
from resnet_sweep.system.atomic import replacing
from resnet_sweep.training.evaluation import Evaluation
from resnet_sweep.training.loop import Diverged, Training

# Okabe and Ito's blue and vermilion: apart for every kind of colour vision, and in grey.
TRAIN_COLOR, VAL_COLOR = "#0072B2", "#D55E00"

log = logging.getLogger(__name__)


def write_products(training: Training) -> Evaluation | None:
    """Write the products of a finished run; return its evaluation on the test set.

    The test set is read here alone, once, where it was asked for.

    Raises:
        Diverged: what is kept is of no use.
        OSError: a file could not be written; a figure that cannot be drawn is only logged.
    """
    run_dir, data = training.run_dir, training.data
    image_size = data.train.images.shape[-1]
    val = training.evaluation or training.evaluate_val()
    kept = training.step.kept_model
    # The last step's own loss was finite; without a validation part nothing else looks.
    if not torch.stack([p.isfinite().all() for p in kept.parameters()]).all():
        raise Diverged("the weights are not finite after the last step")
    test = training.evaluate_test()
    if test is not None and not math.isfinite(test.loss):
        raise Diverged("the test loss is not finite")
    weights = kept.state_dict()
    content = {  # all that is needed to use the weights without the data
        "config": to_dict(training.config),
        "class_names": list(data.class_names),
        "image_size": image_size,
        "mean": data.mean.cpu(),
        "std": data.std.cpu(),
        "state_dict": {name: value.cpu() for name, value in weights.items()},
    }
    write_model(run_dir, content)
    if val is not None:
        predictions = Predictions(
            indices=data.val_indices,
            labels=data.val.labels.cpu().numpy(),
            probabilities=to_halves(val.probabilities),
            class_names=np.array(data.class_names),
        )
        write_predictions(run_dir, predictions)
    if training.config.train.figures:
        try:  # a run is not lost for a figure
            # Matplotlib takes a second, and the workers of a sweep draw nothing.
            from resnet_sweep.model.diagram import draw_architecture
            from resnet_sweep.model.summary import write_architecture_text

            draw_curves(training.position.history, run_dir)
            draw_architecture(training.step.model, image_size, run_dir / DIAGRAM)
            write_architecture_text(training.step.model, image_size, run_dir / ARCHITECTURE)
        except Exception as error:
            log.warning("a figure could not be drawn: %s", error, exc_info=True)
    return test


def to_halves(probabilities: torch.Tensor) -> NDArray[np.float16]:
    """Round probabilities [N, classes] to half floats, of which the largest is the same class.

    Rounded, the largest two may be equal, and the stored guess would not be the one that counted.
    """
    halves: NDArray[np.float16] = probabilities.half().cpu().numpy()
    guesses = probabilities.argmax(1).cpu().numpy()
    rows = np.flatnonzero(halves.argmax(1) != guesses)
    halves[rows, guesses[rows]] = np.nextafter(halves[rows].max(1), np.float16(2))
    return halves


def draw_curves(history: Sequence[EpochMetrics], run_dir: Path) -> None:
    """Write accuracies.png and losses.png: training against validation over the epochs."""
    _draw_curve(history, "accuracy", "accuracy (fraction)", run_dir / ACCURACIES)
    _draw_curve(history, "loss", "cross-entropy (nats)", run_dir / LOSSES)


def _draw_curve(history: Sequence[EpochMetrics], name: str, label: str, path: Path) -> None:
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

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
    finite = [v for v in (*train, *val) if v is not None and math.isfinite(v) and v > 0]
    if name == "loss" and finite and max(finite) / min(finite) > 100 and max(finite) > 10:
        axes.set_yscale("log")  # equal steps would flatten most of the values
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    with replacing(path) as file:
        figure.savefig(file, format="png", dpi=150)
