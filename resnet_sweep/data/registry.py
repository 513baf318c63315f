"""Which data set a configuration names, and what is known of it before its images are read."""

from __future__ import annotations

from resnet_sweep.config.data import (
    NUM_SCANS,
    ArraysConfig,
    CifarConfig,
    DataConfig,
    DigitsConfig,
    ImageFolderConfig,
)
from resnet_sweep.config.errors import require
from resnet_sweep.data.arrays import count_label_classes, find_image_side, load_arrays
from resnet_sweep.data.cifar import (
    NUM_CLASSES,
    NUM_TRAIN_IMAGES,
    check_name,
    check_root,
    load_cifar,
)
from resnet_sweep.data.dataset import Dataset
from resnet_sweep.data.digits import load_digit_scans
from resnet_sweep.data.image_folder import find_class_names, load_image_folder
from resnet_sweep.data.split import count_val


def load_dataset(config: DataConfig) -> Dataset:
    """Read a data set, downloading it first where that is possible and needed.

    Raises:
        UserError: names the field or the file that is wrong.
    """
    match config:
        case CifarConfig():
            return load_cifar(config)
        case DigitsConfig():
            return load_digit_scans(config)
        case ImageFolderConfig():
            return load_image_folder(config)
        case ArraysConfig():
            return load_arrays(config)
    raise AssertionError(f"no data set for {type(config).__name__}")


def count_classes(config: DataConfig) -> int:
    """Return the number of classes without reading an image.

    Raises:
        UserError: names the field or the file that is wrong.
    """
    match config:
        case CifarConfig():
            return NUM_CLASSES[check_name(config)]
        case DigitsConfig():
            return 10
        case ImageFolderConfig():
            return len(find_class_names(config))
        case ArraysConfig():
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
            return find_image_side(config)
    raise AssertionError(f"no data set for {type(config).__name__}")


def check_ahead(config: DataConfig) -> None:
    """Find what can be told of a data set before an image is read, beside its classes.

    Raises:
        UserError: names the field that is wrong.
    """
    match config:
        case CifarConfig():
            check_root(config)
            count_val(NUM_TRAIN_IMAGES, config)
        case DigitsConfig():
            count_val(NUM_SCANS - config.test_size, config)
    if config.train_subset is None or getattr(config, "num_classes", None) is not None:
        return  # of classes that are given some may have no image anyway
    classes = count_classes(config)
    allowed = f"must be at least {classes}, one image for each class"
    require(config.train_subset >= classes, "data.train_subset", config.train_subset, allowed)
