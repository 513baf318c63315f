"""What every data set is once it is read, and where to read which."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from resnet_sweep.config.data import (
    NUM_SCANS,
    ArraysConfig,
    CifarConfig,
    DataConfig,
    DigitsConfig,
    ImageFolderConfig,
)
from resnet_sweep.data.split import count_val

if TYPE_CHECKING:
    import torch  # count_classes must not pay for it


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set on the CPU.

    Args:
        train_images: uint8 [N, 3, S, S].
        train_labels: int64 [N], each from 0 to len(class_names) - 1.
        test_images: uint8 [M, 3, S, S].
        test_labels: int64 [M].
        class_names: in the order of the labels.
        fingerprint: hex digest of all pixels, labels and class names.
    """

    train_images: torch.Tensor
    train_labels: torch.Tensor
    test_images: torch.Tensor
    test_labels: torch.Tensor
    class_names: tuple[str, ...]
    fingerprint: str


def load_dataset(config: DataConfig) -> Dataset:
    """Read a data set, downloading it first where that is possible and needed.

    Raises:
        UserError: names the field or the file that is wrong.
    """
    match config:
        case CifarConfig():
            from resnet_sweep.data.cifar import load_cifar

            return load_cifar(config)
        case DigitsConfig():
            from resnet_sweep.data.digits import load_digit_scans

            return load_digit_scans(config)
        case ImageFolderConfig():
            from resnet_sweep.data.image_folder import load_image_folder

            return load_image_folder(config)
        case ArraysConfig():
            from resnet_sweep.data.arrays import load_arrays

            return load_arrays(config)
    raise AssertionError(f"no data set for {type(config).__name__}")


def count_classes(config: DataConfig) -> int:
    """Return the number of classes without reading an image.

    Raises:
        UserError: names the field or the file that is wrong.
    """
    match config:
        case CifarConfig():
            from resnet_sweep.data.cifar import NUM_CLASSES, check_name

            return NUM_CLASSES[check_name(config)]
        case DigitsConfig():
            return 10
        case ImageFolderConfig():
            from resnet_sweep.data.image_folder import find_class_names

            return len(find_class_names(config))
        case ArraysConfig():
            from resnet_sweep.data.arrays import count_label_classes

            return count_label_classes(config)
    raise AssertionError(f"no data set for {type(config).__name__}")


def find_image_size(config: DataConfig) -> int:
    """Return the side of the images in pixels without reading one.

    Raises:
        UserError: names the field or the file that is wrong.
    """
    match config:
        case CifarConfig() | DigitsConfig():
            return 32
        case ImageFolderConfig():
            return config.image_size
        case ArraysConfig():
            from resnet_sweep.data.arrays import find_image_side

            return find_image_side(config)
    raise AssertionError(f"no data set for {type(config).__name__}")


def check_ahead(config: DataConfig) -> None:
    """Find what can be told of a data set before an image is read, beside its classes.

    Raises:
        UserError: names the field that is wrong.
    """
    match config:
        case CifarConfig():
            from resnet_sweep.data.cifar import NUM_TRAIN_IMAGES, check_root

            check_root(config)
            count_val(NUM_TRAIN_IMAGES, config)
        case DigitsConfig():
            count_val(NUM_SCANS - config.test_size, config)


def make_dataset(
    train: tuple[NDArray[np.uint8], NDArray[np.int64]],
    test: tuple[NDArray[np.uint8], NDArray[np.int64]],
    class_names: Sequence[str],
    fingerprint: str | None = None,
) -> Dataset:
    """Wrap (images [N, 3, S, S], labels [N]) of both parts; null: compute the fingerprint."""
    import torch

    names = tuple(class_names)
    return Dataset(
        train_images=torch.from_numpy(train[0]),
        train_labels=torch.from_numpy(train[1]),
        test_images=torch.from_numpy(test[0]),
        test_labels=torch.from_numpy(test[1]),
        class_names=names,
        fingerprint=fingerprint or compute_fingerprint([*train, *test], names),
    )


def compute_fingerprint(arrays: Sequence[NDArray[np.generic]], class_names: Sequence[str]) -> str:
    """Return a hex digest of arrays, in the machine's byte order, and class names."""
    digest = hashlib.blake2b(repr(tuple(class_names)).encode(), digest_size=16)
    for array in arrays:
        digest.update(f"{array.dtype.name}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
