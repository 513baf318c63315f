"""What the predictions of one set came to, and how good they are where labels are known."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnet_sweep.config.predict import PredictConfig
from resnet_sweep.data.custom import CustomSet, Group
from resnet_sweep.prediction.predicting import VIEWS, Predictions, predict
from resnet_sweep.reporting.statistics import wilson_interval
from resnet_sweep.training.trained_net import TrainedNet

NUM_BINS = 15

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Accuracy:
    """A share of images, as a fraction.

    Args:
        accuracy: a share, or the mean of several on the same images. The mean of n values in
            [0, 1] varies no more than a share of n, so that its interval is wide enough.
        are_independent: false where images occur several times, as corrupted copies do.
    """

    accuracy: float
    num_images: int
    are_independent: bool = True

    @property
    def interval(self) -> tuple[float, float]:
        """Return the 95% interval, which holds for independent images alone."""
        return wilson_interval(self.accuracy * self.num_images, self.num_images)

    def to_json(self) -> dict[str, Any]:
        """Return accuracy, number and interval; without one for images that are not independent."""
        low, high = self.interval if self.are_independent else (None, None)
        return {
            "accuracy": self.accuracy,
            "num_images": self.num_images,
            "low": low,
            "high": high,
        }


@dataclass(frozen=True)
class Score:
    """What is known about one array of probabilities.

    Args:
        per_class: in the order of the classes; null where a class has no image.
        calibration_error: expected calibration error.
        cross_entropy: mean negative log-likelihood, in nats.
    """

    overall: Accuracy
    per_class: tuple[Accuracy | None, ...]
    calibration_error: float
    cross_entropy: float


@dataclass(frozen=True)
class GroupScore:
    """The accuracy on one stretch of the set."""

    group: Group
    accuracy: Accuracy


@dataclass(frozen=True, eq=False)
class Outcome:
    """Everything that one set came to.

    Args:
        tta: mode and number of views.
        notes: what a reader of the numbers should know.
        score, score_tta, groups, members: null or empty without labels.
    """

    nets: Sequence[TrainedNet]
    custom: CustomSet
    predictions: Predictions
    tta: tuple[str, int]
    seconds: float
    notes: tuple[str, ...] = ()
    score: Score | None = None
    score_tta: Score | None = None
    groups: tuple[GroupScore, ...] = ()
    groups_tta: tuple[GroupScore, ...] = ()
    members: tuple[Accuracy, ...] = ()

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.nets[0].class_names

    def messages(self) -> list[str]:
        """Return the notes, and what was changed in the images."""
        return [*self.notes, *self.custom.images.changes()]


def predict_set(
    nets: Sequence[TrainedNet],
    custom: CustomSet,
    config: PredictConfig,
    notes: tuple[str, ...] = (),
) -> Outcome:
    """Predict a set as the configuration asks for, and score it where it has labels."""
    views = VIEWS[config.tta]
    start = time.perf_counter()
    found = predict(nets, custom.images, views, config.batch_size, config.progress)
    seconds = time.perf_counter() - start
    return make_outcome(nets, custom, found, (config.tta, len(views)), seconds, notes)


def make_outcome(
    nets: Sequence[TrainedNet],
    custom: CustomSet,
    predictions: Predictions,
    tta: tuple[str, int],
    seconds: float,
    notes: tuple[str, ...] = (),
) -> Outcome:
    """Score the predictions where labels are known."""
    labels, groups = custom.labels, custom.groups
    if labels is None:
        return Outcome(nets, custom, predictions, tta, seconds, notes)
    independent, augmented = not groups, predictions.augmented
    return Outcome(
        nets,
        custom,
        predictions,
        tta,
        seconds,
        notes,
        score(predictions.plain, labels, independent),
        None if augmented is None else score(augmented, labels, independent),
        tuple(score_groups(predictions.plain, labels, groups)),
        () if augmented is None else tuple(score_groups(augmented, labels, groups)),
        tuple(measure_accuracy(each == labels, independent) for each in predictions.guesses),
    )


def score(
    probabilities: NDArray[np.float32], labels: Labels, are_independent: bool = True
) -> Score:
    """Score probabilities [N, classes] against labels [N].

    Args:
        are_independent: false where images occur several times, as corrupted copies do.
    """
    hits = probabilities.argmax(1) == labels
    own = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    tiny = np.finfo(np.float32).tiny
    return Score(
        overall=measure_accuracy(hits, are_independent),
        per_class=tuple(
            measure_accuracy(hits[labels == label], are_independent) if count else None
            for label, count in enumerate(np.bincount(labels, minlength=probabilities.shape[1]))
        ),
        calibration_error=expected_calibration_error(probabilities, labels),
        cross_entropy=float(-np.log(np.maximum(own, tiny)).mean()),
    )


def score_groups(
    probabilities: NDArray[np.float32], labels: Labels, groups: Sequence[Group]
) -> list[GroupScore]:
    """Return the accuracy on each group."""
    hits = probabilities.argmax(1) == labels
    return [GroupScore(g, measure_accuracy(hits[g.start : g.stop])) for g in groups]


def measure_accuracy(hits: NDArray[np.bool_], are_independent: bool = True) -> Accuracy:
    """Return the share of hits; there must be an image."""
    return Accuracy(float(hits.mean()), len(hits), are_independent)


def expected_calibration_error(
    probabilities: NDArray[np.float32], labels: Labels, num_bins: int = NUM_BINS
) -> float:
    """Return the mean distance between confidence and accuracy (Guo et al. 2017).

    The largest probability of each image falls into one of `num_bins` equally wide bins
    ((m - 1) / bins, m / bins]; the distances between mean confidence and accuracy of the bins
    are averaged with the number of images as weight (arXiv:1706.04599, section 2).
    """
    confidence = probabilities.max(1).astype(np.float64)
    hits = probabilities.argmax(1) == labels
    bins = np.clip(np.ceil(confidence * num_bins).astype(np.int64) - 1, 0, num_bins - 1)
    excess = np.bincount(bins, weights=confidence - hits, minlength=num_bins)
    return float(np.abs(excess).sum() / len(labels))


def find_confident_mistakes(
    probabilities: NDArray[np.float32], labels: Labels, count: int
) -> NDArray[np.int64]:
    """Return the places of the wrong predictions, the most confident ones first."""
    wrong = np.flatnonzero(probabilities.argmax(1) != labels)
    order = np.argsort(-probabilities[wrong].max(1), kind="stable")
    return wrong[order][:count]
