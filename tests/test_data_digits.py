from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_digits

from resnet_sweep.config.data import DigitsConfig
from resnet_sweep.data.registry import count_classes, load_dataset


def test_shapes_types_and_stratified_test_part() -> None:
    data = load_dataset(DigitsConfig())
    assert data.train_images.shape == (1437, 3, 32, 32)
    assert data.test_images.shape == (360, 3, 32, 32)
    assert data.train_images.dtype == data.test_images.dtype == torch.uint8
    assert data.train_labels.dtype == data.test_labels.dtype == torch.int64
    assert data.train_images.is_contiguous()
    assert data.class_names == tuple("0123456789")
    assert count_classes(DigitsConfig()) == 10
    whole = np.bincount(load_digits().target) * 360 / 1797
    assert np.abs(np.bincount(data.test_labels.numpy()) - whole).max() < 1


def test_pixels_are_the_scans_enlarged() -> None:
    data = load_dataset(DigitsConfig(test_size=10))
    scans, labels = load_digits(return_X_y=True)
    enlarged = np.stack([_enlarge(scan.reshape(8, 8)) for scan in scans])
    images = torch.cat([data.train_images, data.test_images]).numpy()
    assert (images[:, :1] == images).all()
    known = {
        image.tobytes(): label
        for image, label in zip(images[:, 0], [*data.train_labels, *data.test_labels], strict=True)
    }
    assert len(known) == 1797
    assert all(
        known[image.tobytes()] == label for image, label in zip(enlarged, labels, strict=True)
    )


def _enlarge(scan: np.ndarray) -> np.ndarray:
    large = Image.fromarray((scan * 255 / 16).astype(np.float32)).resize(
        (32, 32), Image.Resampling.BILINEAR
    )
    return np.asarray(large).round().astype(np.uint8)


def test_the_test_part_depends_on_its_size_alone() -> None:
    first = load_dataset(DigitsConfig(split_seed=0, val_size=0.1))
    other = load_dataset(DigitsConfig(split_seed=7, val_size=0.5, train_subset=10))
    assert torch.equal(first.test_images, other.test_images)
    assert first.fingerprint == other.fingerprint
    assert first.fingerprint != load_dataset(DigitsConfig(test_size=361)).fingerprint
