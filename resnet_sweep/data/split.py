"""The stratified split of the training images into a training and a val part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resnet_sweep.config.data import DataConfig
from resnet_sweep.config.errors import ConfigError, require

MAX_SHOWN = 8  # names in a message


@dataclass(frozen=True, eq=False)
class Split:
    """Indices into the training images, int64 and rising, without overlap."""

    train_indices: NDArray[np.int64]
    val_indices: NDArray[np.int64]


def split_train_val(labels: NDArray[np.int64], config: DataConfig) -> Split:
    """Draw the val part, then the training part from what is left, class by class.

    The val part depends on labels, data.val_size and data.split_seed alone. A data.train_subset
    that leaves no room for every class is drawn regardless of class: see refuse_lost_classes.

    Args:
        labels: of all training images, int [N].

    Raises:
        ConfigError: if val_size or train_subset does not fit the labels.
    """
    rest, val = _take_val(labels, config)
    return Split(train_indices=_take_subset(rest, labels, config), val_indices=val)


def refuse_lost_classes(
    labels: NDArray[np.int64], split: Split, config: DataConfig, class_names: Sequence[str]
) -> None:
    """Refuse a split that keeps every training image of a class from the training.

    Args:
        labels: of all training images, int [N]; a class that none of them has is not lost here.

    Raises:
        ConfigError: names the classes.
    """
    lost = np.setdiff1d(labels, labels[split.train_indices])
    names = ", ".join(class_names[label] for label in lost[:MAX_SHOWN])
    names += f" and {len(lost) - MAX_SHOWN} more" if len(lost) > MAX_SHOWN else ""
    allowed = f"leaves no training image of class {names}, of {len(np.unique(labels))}"
    if config.train_subset is None:
        require(len(lost) == 0, "data.val_size", config.val_size, f"{allowed}; give less")
    more = f"{allowed}; give more images, or another data.split_seed"
    require(len(lost) == 0, "data.train_subset", config.train_subset, more)


def _take_val(
    labels: NDArray[np.int64], config: DataConfig
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    indices = np.arange(len(labels), dtype=np.int64)
    if config.val_size == 0:
        return indices, indices[:0]
    count = count_val(len(labels), config)
    classes, sizes = np.unique(labels, return_counts=True)
    if sizes.min() < 2:
        lonely = classes[sizes.argmin()]
        allowed = f"must be 0, since label {lonely} has a single training image"
        raise ConfigError("data.val_size", config.val_size, allowed)
    most = len(labels) - len(classes)
    allowed = (
        f"must be 0 or give from {len(classes)} to {most} of the {len(labels)} training images "
        f"(here {count}), so that both parts have room for the {len(classes)} classes"
    )
    require(len(classes) <= count <= most, "data.val_size", config.val_size, allowed)
    return _draw(indices, labels, count, config.split_seed)


def count_val(num_images: int, config: DataConfig) -> int:
    """Return how many images the val part takes.

    Raises:
        ConfigError: it would take all of them.
    """
    size = config.val_size
    allowed = f"must be less than the {num_images} training images"
    require(size < 1 or size < num_images, "data.val_size", size, allowed)
    return max(1, round(size * num_images)) if size < 1 else int(size)


def _take_subset(
    rest: NDArray[np.int64], labels: NDArray[np.int64], config: DataConfig
) -> NDArray[np.int64]:
    count = len(rest) if config.train_subset is None else config.train_subset
    allowed = f"must be at most {len(rest)}, the images left after data.val_size={config.val_size}"
    require(count <= len(rest), "data.train_subset", config.train_subset, allowed)
    if count == len(rest):
        return rest
    classes, sizes = np.unique(labels[rest], return_counts=True)
    has_room = sizes.min() >= 2 and len(classes) <= count <= len(rest) - len(classes)
    strata = labels if has_room else None
    return _draw(rest, strata, count, config.split_seed)[1]


def _draw(
    indices: NDArray[np.int64], labels: NDArray[np.int64] | None, count: int, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return what is left of `indices` and `count` of them, stratified if labels are given."""
    from sklearn.model_selection import train_test_split

    strata = None if labels is None else labels[indices]
    left, drawn = train_test_split(indices, test_size=count, stratify=strata, random_state=seed)
    return np.sort(left), np.sort(drawn)
