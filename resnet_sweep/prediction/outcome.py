"""What one call of predict came to."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from resnet_sweep.config.predict import PredictConfig
from resnet_sweep.data.custom import CustomSet
from resnet_sweep.prediction.predicting import Predictions, predict
from resnet_sweep.prediction.scoring import (
    Accuracy,
    GroupScore,
    Score,
    measure_accuracy,
    score,
    score_groups,
)
from resnet_sweep.prediction.views import VIEWS
from resnet_sweep.training.trained_net import TrainedNet


@dataclass(frozen=True, eq=False)
class Outcome:
    """Everything that one call of predict came to.

    Args:
        tta: mode and number of views.
        score, score_tta, groups, members: null or empty without labels.
    """

    nets: list[TrainedNet]
    custom: CustomSet
    predictions: Predictions
    tta: tuple[str, int]
    seconds: float
    score: Score | None = None
    score_tta: Score | None = None
    groups: tuple[GroupScore, ...] = ()
    groups_tta: tuple[GroupScore, ...] = ()
    members: tuple[Accuracy, ...] = ()

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.nets[0].class_names


def predict_custom(nets: list[TrainedNet], custom: CustomSet, config: PredictConfig) -> Outcome:
    """Predict a set as the configuration asks for, and score it where it has labels."""
    if config.num_threads is not None:
        torch.set_num_threads(config.num_threads)
    views = VIEWS[config.tta]
    start = time.perf_counter()
    found = predict(nets, custom.images, views, config.batch_size, config.progress)
    seconds = time.perf_counter() - start
    return make_outcome(nets, custom, found, (config.tta, len(views)), seconds)


def make_outcome(
    nets: list[TrainedNet],
    custom: CustomSet,
    predictions: Predictions,
    tta: tuple[str, int],
    seconds: float,
) -> Outcome:
    """Score the predictions where labels are known."""
    labels, groups = custom.labels, custom.groups
    if labels is None:
        return Outcome(nets, custom, predictions, tta, seconds)
    independent, augmented = not groups, predictions.augmented
    return Outcome(
        nets,
        custom,
        predictions,
        tta,
        seconds,
        score(predictions.plain, labels, independent),
        None if augmented is None else score(augmented, labels, independent),
        tuple(score_groups(predictions.plain, labels, groups)),
        () if augmented is None else tuple(score_groups(augmented, labels, groups)),
        tuple(measure_accuracy(each == labels, independent) for each in predictions.guesses),
    )
