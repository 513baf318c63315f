"""The data of a run as uint8 tensors on its device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from resnet_sweep.config.data import DataConfig
from resnet_sweep.data.dataset import Dataset
from resnet_sweep.data.registry import load_dataset
from resnet_sweep.data.split import refuse_lost_classes, split_train_val

_CHUNK = 2500  # images whose pixels are counted at once
_Frozen = tuple[type[DataConfig], tuple[tuple[str, Any], ...]]


class ImageRows:
    """Some of the images of a tensor, read where they lie.

    Workers on a CPU share the pages of one cached file so; copies would be each worker's own.

    Args:
        pixels: uint8 [M, 3, S, S].
        rows: of `pixels`, int64 [N] on its device.
    """

    def __init__(self, pixels: torch.Tensor, rows: torch.Tensor) -> None:
        self._pixels = pixels
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: torch.Tensor | slice) -> torch.Tensor:
        """Return a copy of the images at these places, uint8 [n, 3, S, S]."""
        return self._pixels[self._rows[index]]

    def split(self, size: int) -> Iterator[torch.Tensor]:
        """Yield copies of at most `size` images, in order; an empty one where there are none."""
        for rows in self._rows.split(size):
            yield self._pixels[rows]

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self._rows), *self._pixels.shape[1:])

    @property
    def device(self) -> torch.device:
        return self._pixels.device


Images = torch.Tensor | ImageRows


@dataclass(frozen=True, eq=False)
class Part:
    """Images uint8 [N, 3, S, S] and labels int64 [N] on the device."""

    images: Images
    labels: torch.Tensor


@dataclass(frozen=True, eq=False)
class DeviceData:
    """A divided data set on the device.

    Args:
        val_indices: of the val part in the whole training part, int64, rising.
        mean: per channel over the training part after split and subset, of pixels scaled to
            [0, 1]; float32 [3] on the device.
        std: likewise, at least 1/255.
        class_names: in the order of the labels.
        fingerprint: of the whole data set.
    """

    train: Part
    val: Part
    test: Part | None
    val_indices: NDArray[np.int64]
    mean: torch.Tensor
    std: torch.Tensor
    class_names: tuple[str, ...]
    fingerprint: str


def place_data(config: DataConfig, device: torch.device, with_test: bool) -> DeviceData:
    """Read, divide and place a data set; the test part only on request.

    The last data set and the last placement are remembered, so a worker that trains many trials
    on the same data reads it once, and does not see files that change meanwhile.

    Raises:
        UserError: names the field or the file that is wrong.
    """
    placed = _place_train_val(_freeze(config), device)
    if not with_test:
        return placed
    return replace(placed, test=_place_test(_freeze_source(config), device))


def measure_mean_std(images: Images) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the exact mean and population standard deviation of each channel.

    Args:
        images: uint8 [N, 3, S, S], N at least 1.

    Returns:
        mean and std of the pixels scaled to [0, 1], float32 [3]; std at least 1/255, so that a
        constant channel can be divided by it.
    """
    counts = torch.zeros(images.shape[1], 256, dtype=torch.int64)
    for chunk in images.split(_CHUNK):
        for channel, pixels in enumerate(chunk.unbind(1)):
            counts[channel] += torch.bincount(pixels.flatten(), minlength=256)
    weights = counts.double() / counts.sum(dim=1, keepdim=True)
    values = torch.arange(256, dtype=torch.float64) / 255
    mean = weights @ values
    variance = (weights * (values - mean[:, None]) ** 2).sum(dim=1)
    return mean.float(), variance.sqrt().clamp(min=1 / 255).float()


@lru_cache(maxsize=1)
def _read(source: _Frozen) -> Dataset:
    return load_dataset(_thaw(source))


@lru_cache(maxsize=1)
def _place_train_val(frozen: _Frozen, device: torch.device) -> DeviceData:
    config = _thaw(frozen)
    data = _read(_freeze_source(config))
    labels = data.train_labels.numpy()
    split = split_train_val(labels, config)
    refuse_lost_classes(labels, split, config, data.class_names)
    train, val = torch.from_numpy(split.train_indices), torch.from_numpy(split.val_indices)
    mean, std = measure_mean_std(ImageRows(data.train_images, train))
    return DeviceData(
        train=_place_part(data, train, device),
        val=_place_part(data, val, device),
        test=None,
        val_indices=split.val_indices,
        mean=mean.to(device),
        std=std.to(device),
        class_names=data.class_names,
        fingerprint=data.fingerprint,
    )


@lru_cache(maxsize=1)
def _place_test(source: _Frozen, device: torch.device) -> Part:
    data = _read(source)
    return Part(data.test_images.to(device), data.test_labels.to(device))


def _place_part(data: Dataset, rows: torch.Tensor, device: torch.device) -> Part:
    """Place some of the training images."""
    labels = data.train_labels[rows].to(device)
    if device.type == "cpu":
        return Part(ImageRows(data.train_images, rows), labels)
    # A copy for each worker, 0.15 GB for CIFAR-10: one shared by CUDA IPC lives only as long as
    # the worker that exported it, and killing a worker must not end the others.
    return Part(data.train_images[rows].to(device), labels)


def _freeze(config: DataConfig) -> _Frozen:
    return type(config), tuple(vars(config).items())


def _freeze_source(config: DataConfig) -> _Frozen:
    """What decides on the data set read: all but the split."""
    return _freeze(replace(config, val_size=0, split_seed=0, train_subset=None))


def _thaw(frozen: _Frozen) -> DataConfig:
    config_type, items = frozen
    return config_type(**dict(items))
