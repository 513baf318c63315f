"""What the predictions of one set came to, and how good they are where labels are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnet_sweep.data.custom import CustomSet, Group
from resnet_sweep.prediction.predicting import Predictions
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
        groups: the accuracy on each stretch of the set that is reported by itself.
    """

    overall: Accuracy
    per_class: tuple[Accuracy | None, ...]
    calibration_error: float
    cross_entropy: float
    groups: tuple[tuple[Group, Accuracy], ...]


@dataclass(frozen=True, eq=False)
class Outcome:
    """Everything that one set came to.

    Args:
        tta: mode and number of views.
        notes: what a reader of the numbers should know.
    """

    nets: Sequence[TrainedNet]
    custom: CustomSet
    predictions: Predictions
    tta: tuple[str, int]
    seconds: float
    notes: tuple[str, ...] = ()

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.nets[0].class_names

    def messages(self) -> list[str]:
        """Return the notes, and what was changed in the images."""
        return [*self.notes, *self.custom.images.changes()]

    @cached_property
    def score(self) -> Score | None:
        """Of the plain images; null without labels."""
        return self._score(self.predictions.plain)

    @cached_property
    def score_tta(self) -> Score | None:
        """With all views; null without labels or further views."""
        return self._score(self.predictions.augmented)

    @property
    def members(self) -> list[Accuracy]:
        """Of each net by itself; empty without labels."""
        labels, guesses = self.custom.labels, self.predictions.guesses
        if labels is None:
            return []
        return [measure_accuracy(each == labels, len(self.custom.groups) < 2) for each in guesses]

    def _score(self, probabilities: NDArray[np.float32] | None) -> Score | None:
        if probabilities is None or self.custom.labels is None:
            return None
        return score(probabilities, self.custom.labels, self.custom.groups)


def score(
    probabilities: NDArray[np.float32], labels: Labels, groups: Sequence[Group] = ()
) -> Score:
    """Score probabilities [N, classes] against labels [N].

    Where there are several groups, the same images occur in each.
    """
    hits = probabilities.argmax(1) == labels
    own = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    tiny = np.finfo(np.float32).tiny
    return Score(
        overall=measure_accuracy(hits, len(groups) < 2),
        per_class=tuple(
            measure_accuracy(hits[labels == label], len(groups) < 2) if count else None
            for label, count in enumerate(np.bincount(labels, minlength=probabilities.shape[1]))
        ),
        calibration_error=expected_calibration_error(probabilities, labels),
        cross_entropy=float(-np.log(np.maximum(own, tiny)).mean()),
        groups=tuple((g, measure_accuracy(hits[g.start : g.stop])) for g in groups),
    )


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
