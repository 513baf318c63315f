"""Nets on the test images as they are, corrupted, and on custom sets.

The test set is read to report, never to choose.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from resnet_sweep.config.errors import UserError
from resnet_sweep.config.shift import NUM_STRENGTHS, ShiftConfig
from resnet_sweep.data.corruption import corrupt
from resnet_sweep.data.custom import CustomSet, choose_background, read_custom
from resnet_sweep.prediction.predicting import predict
from resnet_sweep.prediction.scoring import Accuracy, measure_accuracy
from resnet_sweep.prediction.shift_scores import (
    CLEAN,
    CORRUPTION,
    CUSTOM,
    ModelScores,
    Report,
    Row,
    escape,
    make_row,
    mean_row,
)
from resnet_sweep.system.console import say, track
from resnet_sweep.training.run_data import compare_fingerprint, read_run_data
from resnet_sweep.training.trained_net import TrainedNet, load_net


@dataclass(frozen=True, eq=False)
class DrawnImages:
    """Test images uint8 [N, 3, S, S], labels int64 [N] and their places in the test part."""

    images: torch.Tensor
    labels: NDArray[np.int64]
    places: NDArray[np.int64]


def measure(options: ShiftConfig) -> Report:
    """Measure every net on every set.

    Raises:
        UserError: a run, its data or a custom set cannot be used.
    """
    nets = [load_net(Path(run).expanduser(), options.device) for run in options.run]
    _check_alike(nets)
    names, side = nets[0].class_names, nets[0].image_size
    background = choose_background([net.config.data for net in nets])
    sets = {path: _read_labelled(path, names, side, background) for path in options.custom}
    data = read_run_data(nets[0], options.data_root).dataset
    test = _draw_test(data.test_images, data.test_labels, options)
    rows = _measure_test(nets, test, options)
    for path, custom in sets.items():
        for found, more in zip(rows, _measure_custom(nets, path, custom), strict=True):
            found += more
    notes = [f"{path}: {text}" for path, custom in sets.items() for text in custom.messages()]
    models = [
        ModelScores(
            run=escape(str(net.run_dir)),
            num_params=sum(parameter.numel() for parameter in net.model.parameters()),
            rows=tuple(own),
            notes=tuple(map(escape, (*compare_fingerprint(net, data.fingerprint), *notes))),
        )
        for net, own in zip(nets, rows, strict=True)
    ]
    settings = {"seed": options.seed, "custom": options.custom, "data_root": options.data_root}
    counts = len(test.labels), len(data.test_labels)
    return Report(tuple(models), *counts, data.fingerprint, settings)


def _check_alike(nets: Sequence[TrainedNet]) -> None:
    first = nets[0]
    for net in nets[1:]:
        if (net.class_names, net.image_size) != (first.class_names, first.image_size):
            problem = "differ in classes or image size: compare nets of one data set"
            raise UserError(f"run: {first.run_dir} and {net.run_dir} {problem}")


def _read_labelled(path: str, names: Sequence[str], side: int, background: str) -> CustomSet:
    custom = read_custom(Path(path).expanduser(), names, side, background)
    if custom.labels is None:
        raise UserError(f"custom={path}: has no labels, so there is no accuracy to report")
    say(f"recognised: {path}: {custom.layout}; {len(custom)} images")
    return custom


def _draw_test(images: torch.Tensor, labels: torch.Tensor, options: ShiftConfig) -> DrawnImages:
    places = np.arange(len(labels))
    if options.test_subset is not None and options.test_subset < len(labels):
        generator = np.random.default_rng(options.seed)
        places = np.sort(generator.choice(len(labels), options.test_subset, replace=False))
    chosen = torch.from_numpy(places)
    return DrawnImages(images[chosen], labels[chosen].numpy(), places)


def _measure_test(
    nets: Sequence[TrainedNet], test: DrawnImages, options: ShiftConfig
) -> list[list[Row]]:
    """Return the rows of each net; each set of corrupted images is made once."""
    rows = [[Row(CLEAN, "test set", {}, score)] for score in _score_all(nets, test, test.images)]
    strengths: list[dict[str, dict[int, Accuracy]]] = [
        {name: {} for name in options.corruptions} for _ in nets
    ]
    steps = list(product(options.corruptions, range(1, NUM_STRENGTHS + 1)))
    for name, strength in track(steps, "Corrupted test images"):
        corrupted = corrupt(test.images, name, strength, options.seed, test.places)
        for own, score in zip(strengths, _score_all(nets, test, corrupted), strict=True):
            own[name][strength] = score
    for found, own in zip(rows, strengths, strict=True):
        corruptions = [make_row(CORRUPTION, name, scores) for name, scores in own.items()]
        found += corruptions
        if len(corruptions) > 1:
            found.append(mean_row(corruptions))
    return rows


def _score_all(
    nets: Sequence[TrainedNet], test: DrawnImages, images: torch.Tensor
) -> Iterator[Accuracy]:
    for net in nets:
        probabilities = net.probabilities(images)
        if not np.isfinite(probabilities).all():
            raise UserError(f"{net.run_dir}: the net gives probabilities that are not finite")
        yield measure_accuracy(probabilities.argmax(1) == test.labels)


def _measure_custom(nets: Sequence[TrainedNet], path: str, custom: CustomSet) -> list[list[Row]]:
    """Return the rows of each net on one set: one, or one for each of its corruptions."""
    assert custom.labels is not None
    guesses = predict(nets, custom.images, show_progress=True).guesses
    return [list(_custom_rows(escape(path), custom, own == custom.labels)) for own in guesses]


def _custom_rows(path: str, custom: CustomSet, hits: NDArray[np.bool_]) -> Iterator[Row]:
    if not custom.groups:
        yield Row(CUSTOM, path, {}, measure_accuracy(hits))
        return
    names = dict.fromkeys(group.name for group in custom.groups)
    for name in names:
        groups = [group for group in custom.groups if group.name == name]
        scores = [measure_accuracy(hits[group.start : group.stop]) for group in groups]
        if groups[0].severity is None:
            yield Row(CUSTOM, f"{path}: {name}", {}, scores[0])
        else:
            severities = [group.severity or 0 for group in groups]
            yield make_row(CUSTOM, f"{path}: {name}", dict(zip(severities, scores, strict=True)))
