"""Scores against other implementations and counts by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss, recall_score

from resnet_sweep.data.custom import Group
from resnet_sweep.prediction.scoring import (
    Accuracy,
    expected_calibration_error,
    find_confident_mistakes,
    score,
)
from resnet_sweep.reporting.confusion import count_confusion
from resnet_sweep.reporting.statistics import wilson_interval

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 5, 400)
_LOGITS = RNG.normal(size=(400, 5)) * 2 + 2 * np.eye(5)[LABELS]
PROBABILITIES = (np.exp(_LOGITS) / np.exp(_LOGITS).sum(1, keepdims=True)).astype(np.float32)
GUESSES = PROBABILITIES.argmax(1)


@pytest.mark.parametrize(("hits", "count"), [(0, 10), (10, 10), (1, 3), (9370, 10000), (1, 1)])
def test_the_interval_is_wilsons(hits: int, count: int) -> None:
    reference = binomtest(hits, count).proportion_ci(0.95, method="wilson")
    expected = pytest.approx((reference.low, reference.high), abs=1e-12)
    assert Accuracy(hits / count, count).interval == expected


def test_the_interval_of_a_mean_holds_it_often_enough() -> None:
    """400 draws of 200 images, of which each is right at none, some or all of five strengths."""
    generator = np.random.default_rng(0)
    skill = generator.beta(2, 1, (400, 200, 1))
    hits = generator.random((400, 200, 5)) < skill
    inside = [
        low <= 2 / 3 <= high
        for low, high in (Accuracy(float(each.mean()), 200).interval for each in hits)
    ]
    assert np.mean(inside) > 0.95


@pytest.mark.parametrize("count", [1, 3, 10, 49, 1000, 10_000, 999_983])
def test_the_ends_of_the_interval_are_exact(count: int) -> None:
    assert wilson_interval(0, count)[0] == 0.0 and wilson_interval(count, count)[1] == 1.0
    assert 0 < wilson_interval(0, count)[1] < 1 and 0 < wilson_interval(count, count)[0] < 1


def test_scores_agree_with_scikit_learn() -> None:
    found = score(PROBABILITIES, LABELS)
    assert found.overall.accuracy == pytest.approx(accuracy_score(LABELS, GUESSES))
    assert found.overall.num_images == 400
    per_class = [each.accuracy for each in found.per_class if each is not None]
    assert per_class == pytest.approx(recall_score(LABELS, GUESSES, average=None))
    whole = PROBABILITIES / PROBABILITIES.sum(1, keepdims=True, dtype=np.float64)
    assert found.cross_entropy == pytest.approx(log_loss(LABELS, whole), rel=1e-5)
    counts = count_confusion(LABELS, GUESSES, 5)
    np.testing.assert_array_equal(counts, confusion_matrix(LABELS, GUESSES, labels=range(5)))


def test_a_class_without_images_has_no_accuracy() -> None:
    found = score(PROBABILITIES[LABELS != 3], LABELS[LABELS != 3])
    assert found.per_class[3] is None and found.per_class[4] is not None


def test_images_that_are_not_independent_get_no_interval() -> None:
    alone = score(PROBABILITIES, LABELS, [Group("fog", None, 0, 400)]).overall
    assert alone == score(PROBABILITIES, LABELS).overall and alone.to_json()["low"] is not None
    found = score(PROBABILITIES, LABELS, [Group("fog", 1, 0, 200), Group("fog", 2, 200, 400)])
    values = found.overall.to_json()
    assert values["low"] is None and values["high"] is None and values["num_images"] == 400


def _calibration_by_hand(num_bins: int) -> float:
    """Guo et al. 2017, image by image and bin by bin."""
    total = 0.0
    for m in range(1, num_bins + 1):
        inside = [
            (float(row.max()), int(row.argmax()) == label)
            for row, label in zip(PROBABILITIES, LABELS, strict=True)
            if (m - 1) / num_bins < row.max() <= m / num_bins
        ]
        if inside:
            confidence = sum(c for c, _ in inside) / len(inside)
            accuracy = sum(hit for _, hit in inside) / len(inside)
            total += len(inside) / len(LABELS) * abs(accuracy - confidence)
    return total


@pytest.mark.parametrize("num_bins", [1, 10, 15])
def test_calibration_error_is_the_papers(num_bins: int) -> None:
    found = expected_calibration_error(PROBABILITIES, LABELS, num_bins)
    assert found == pytest.approx(_calibration_by_hand(num_bins))


def test_calibration_error_of_known_cases() -> None:
    sure = np.tile(np.float32([1, 0]), (4, 1))
    assert expected_calibration_error(sure, np.zeros(4, np.int64)) == 0
    assert expected_calibration_error(sure, np.ones(4, np.int64)) == 1
    assert expected_calibration_error(sure, np.array([0, 0, 0, 1])) == 0.25


def test_mistakes_come_most_confident_first() -> None:
    places = find_confident_mistakes(PROBABILITIES, LABELS, 7)
    assert len(places) == 7 and (GUESSES[places] != LABELS[places]).all()
    confidence = PROBABILITIES.max(1)
    assert (np.diff(confidence[places]) <= 0).all()
    others = np.setdiff1d(np.flatnonzero(GUESSES != LABELS), places)
    assert confidence[others].max() <= confidence[places].min()


def test_groups_are_scored_apart() -> None:
    groups = [Group("fog", 1, 0, 100), Group("fog", 2, 100, 400)]
    found = score(PROBABILITIES, LABELS, groups).groups
    assert [group for group, _ in found] == groups
    first, second = (accuracy for _, accuracy in found)
    assert first.accuracy == (GUESSES[:100] == LABELS[:100]).mean()
    assert second.accuracy == (GUESSES[100:] == LABELS[100:]).mean()
    assert second.num_images == 300 and second.are_independent
