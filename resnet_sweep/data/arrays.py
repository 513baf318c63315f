"""NumPy arrays of images and labels."""

from __future__ import annotations

import logging
import os
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnet_sweep.config.data import ArraysConfig
from resnet_sweep.config.errors import UserError
from resnet_sweep.data.array_files import (
    ALLOWED_IMAGES,
    find_layout,
    open_npy,
    read_npz,
    read_npz_headers,
)
from resnet_sweep.data.dataset import Dataset, find_root, make_dataset
from resnet_sweep.data.labels import flatten_column

logger = logging.getLogger(__name__)

MAX_SHOWN = 8


def load_arrays(config: ArraysConfig) -> Dataset:
    """Read `{train,test}.npz`, or else `{train,test}_{images,labels}.npy`.

    Raises:
        UserError: names the file that is wrong and what is allowed.
    """
    root = _find_root(config)
    num_classes = count_label_classes(config)
    train_images, test_images = (_read_images(root, part) for part in ("train", "test"))
    side, test_side = train_images.shape[-1], test_images.shape[-1]
    if test_side != side:
        found = f"has images of {test_side}x{test_side} pixels"
        raise UserError(f"{_find(root, 'test', 'images')}: {found}, must be {side} as in train")
    train_labels = _read_labels(root, "train", len(train_images), num_classes)
    test_labels = _read_labels(root, "test", len(test_images), num_classes)
    present = np.unique(train_labels)
    if len(present) < num_classes:
        absent = _describe_absent(present, num_classes)
        where = _find(root, "train", "labels")
        logger.warning("%s: no training image of the %d classes has %s", where, num_classes, absent)
    names = [str(label) for label in range(num_classes)]
    return make_dataset((train_images, train_labels), (test_images, test_labels), names)


def count_label_classes(config: ArraysConfig) -> int:
    """Return config.num_classes, or else one more than the largest training label.

    Raises:
        UserError: that would give classes without a training image.
    """
    root = _find_root(config)
    if config.num_classes is not None:
        return config.num_classes
    labels, where = _read_labels(root, "train"), _find(root, "train", "labels")
    present = np.unique(labels)
    num_classes = int(present[-1]) + 1
    if len(present) < num_classes:
        advice = f"number the classes from 0 on, or give data.num_classes={num_classes}"
        raise UserError(
            f"{where}: no training image has {_describe_absent(present, num_classes)}; {advice}"
        )
    if num_classes < 2:
        raise UserError(f"{where}: must hold at least 2 classes, all labels are 0")
    return num_classes


def _describe_absent(present: NDArray[np.int64], num_classes: int) -> str:
    """Return which labels below num_classes are not among these."""
    known, count = set(present.tolist()), num_classes - len(present)
    absent = (str(label) for label in range(num_classes) if label not in known)
    more = f" and {count - MAX_SHOWN} more" if count > MAX_SHOWN else ""
    return f"label {', '.join(islice(absent, MAX_SHOWN))}{more}"


def find_image_side(config: ArraysConfig) -> int:
    """Return the side of the training images, from the header of their file."""
    path = _find(_find_root(config), "train", "images")
    if path.suffix == ".npy":
        shape = open_npy(path).shape
    else:
        headers = read_npz_headers(path)
        if "images" not in headers:
            raise UserError(f"{path}: must be an .npz with `images`")
        shape = headers["images"].shape
    layout = find_layout(shape)
    if layout is None:
        raise UserError(f"{path}: {ALLOWED_IMAGES}; found {list(shape)}")
    return layout.height


def _find_root(config: ArraysConfig) -> Path:
    allowed = "must be a folder with train.npz and test.npz, or train_images.npy and so on"
    return find_root(config, allowed)


def _read_images(root: Path, part: str) -> NDArray[np.uint8]:
    """Return images as uint8 [N, 3, S, S]."""
    array = _read(root, part, "images")
    layout = find_layout(array.shape) if array.dtype == np.uint8 and len(array) else None
    if layout is None or layout.height != layout.width:
        where, found = _find(root, part, "images"), f"{array.dtype} {list(array.shape)}"
        raise UserError(f"{where}: {ALLOWED_IMAGES}, all of them square; found {found}")
    return np.ascontiguousarray(layout.arrange(array))


def _read_labels(
    root: Path, part: str, num_images: int | None = None, num_classes: int | None = None
) -> NDArray[np.int64]:
    """Return labels as int64 [N], checked against what is given."""
    labels, where = flatten_column(_read(root, part, "labels")), _find(root, part, "labels")
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or len(labels) == 0:
        found = f"found {labels.dtype} {list(labels.shape)}"
        raise UserError(f"{where}: labels must be integers [N] or [N, 1]; {found}")
    if num_images is not None and len(labels) != num_images:
        allowed = f"must have {num_images} labels, one for each image"
        raise UserError(f"{where}: {allowed}; has {len(labels)}")
    low, high = int(labels.min()), int(labels.max())
    top = 2**31 - 1 if num_classes is None else num_classes - 1
    if low < 0 or high > top:
        bad = low if low < 0 else high
        raise UserError(f"{where}: labels must be from 0 to {top}; found {bad}")
    return labels.astype(np.int64)


def _find(root: Path, part: str, field: str) -> Path:
    """Return the file that holds a part's images or labels."""
    npz = root / f"{part}.npz"
    path = npz if os.path.lexists(npz) else root / f"{part}_{field}.npy"
    if path.is_symlink() and not path.exists():
        raise UserError(f"{path}: is a broken symbolic link")
    if not path.exists():
        raise UserError(f"{path}: no such file, nor {part}.npz")
    if path == npz:
        for name in (f"{part}_images.npy", f"{part}_labels.npy"):
            if os.path.lexists(root / name):
                raise UserError(f"{npz}: {name} lies beside it: leave one of the two there")
    return path


def _read(root: Path, part: str, field: str) -> NDArray[Any]:
    path = _find(root, part, field)
    if path.suffix == ".npy":
        return np.array(open_npy(path))  # from the disk into memory, where training wants it
    return read_npz(path, field)
