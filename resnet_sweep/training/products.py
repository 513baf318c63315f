"""What a finished run leaves beside its records: weights, predictions, figures."""

from __future__ import annotations

import logging

import numpy as np
import torch
from numpy.typing import NDArray

from resnet_sweep.config.compose import to_dict
from resnet_sweep.records.checkpoint import write_model
from resnet_sweep.records.run_folder import (
    ARCHITECTURE,
    DIAGRAM,
    Predictions,
    write_predictions,
)
from resnet_sweep.training.evaluation import Evaluation
from resnet_sweep.training.loop import Training

log = logging.getLogger(__name__)


def write_products(training: Training) -> Evaluation | None:
    """Write the products of a finished run; return its evaluation on the test set.

    The test set is read here alone, once, where it was asked for.

    Raises:
        OSError: a file could not be written; a figure that cannot be drawn is only logged.
    """
    val = training.evaluation or training.evaluate_val()
    test = training.evaluate_test()
    write_model(training.run_dir, _model_content(training))
    if val is not None:
        write_predictions(training.run_dir, _predictions(training, val))
    if training.config.train.figures:
        _draw(training)
    return test


def _model_content(training: Training) -> dict[str, object]:
    """Return the weights and all that is needed to use them without the data."""
    data = training.data
    return {
        "config": to_dict(training.config),
        "class_names": list(data.class_names),
        "image_size": data.train.images.shape[-1],
        "mean": data.mean.cpu(),
        "std": data.std.cpu(),
        "state_dict": {
            name: value.cpu() for name, value in training.kept_model.state_dict().items()
        },
    }


def _predictions(training: Training, val: Evaluation) -> Predictions:
    data = training.data
    return Predictions(
        indices=data.val_indices,
        labels=data.val.labels.cpu().numpy(),
        probabilities=to_halves(val.probabilities),
        class_names=np.array(data.class_names),
    )


def to_halves(probabilities: torch.Tensor) -> NDArray[np.float16]:
    """Round probabilities [N, classes] to half floats, of which the largest is the same class.

    Rounded, the largest two may be equal, and the stored guess would not be the one that counted.
    """
    halves: NDArray[np.float16] = probabilities.half().cpu().numpy()
    guesses = probabilities.argmax(1).cpu().numpy()
    rows = np.flatnonzero(halves.argmax(1) != guesses)
    halves[rows, guesses[rows]] = np.nextafter(halves[rows].max(1), np.float16(2))
    return halves


def _draw(training: Training) -> None:
    """Draw the curves and the net; a run is not lost for a figure."""
    run_dir, image_size = training.run_dir, training.data.train.images.shape[-1]
    model = training.step.model
    try:
        # Matplotlib takes a second, and the workers of a sweep draw nothing.
        from resnet_sweep.model.diagram import draw_architecture
        from resnet_sweep.model.summary import write_architecture_text
        from resnet_sweep.training.curves import draw_curves

        draw_curves(training.position.history, run_dir)
        draw_architecture(model, image_size, run_dir / DIAGRAM)
        write_architecture_text(model, image_size, run_dir / ARCHITECTURE)
    except Exception as error:
        log.warning("a figure could not be drawn: %s", error, exc_info=True)
