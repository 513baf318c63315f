from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from resnet_sweep.config.data import ArraysConfig, DataConfig, DigitsConfig
from resnet_sweep.data import device as device_module
from resnet_sweep.data.dataset import Dataset
from resnet_sweep.data.device import DeviceData, ImageRows, measure_mean_std, place_data
from resnet_sweep.data.registry import load_dataset
from resnet_sweep.data.split import split_train_val

CPU = torch.device("cpu")


class _Reader:
    """Counts the data sets read."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, config: DataConfig) -> Dataset:
        self.count += 1
        return load_dataset(config)


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> _Reader:
    for remembered in ("_read", "_place_train_val", "_place_test"):
        getattr(device_module, remembered).cache_clear()
    reader = _Reader()
    monkeypatch.setattr(device_module, "load_dataset", reader)
    return reader


def _place(with_test: bool = False, **fields: float) -> DeviceData:
    return place_data(DigitsConfig(**fields), CPU, with_test)  # type: ignore[arg-type]


def test_parts_are_those_of_the_split() -> None:
    config = DigitsConfig(val_size=100, train_subset=300, split_seed=5)
    placed, data = place_data(config, CPU, with_test=True), load_dataset(config)
    split = split_train_val(data.train_labels.numpy(), config)
    assert torch.equal(placed.train.images[:], data.train_images[split.train_indices])
    assert torch.equal(placed.train.labels, data.train_labels[split.train_indices])
    assert torch.equal(placed.val.images[:], data.train_images[split.val_indices])
    assert torch.equal(placed.val.labels, data.train_labels[split.val_indices])
    assert placed.test is not None
    assert torch.equal(placed.test.images, data.test_images)
    assert torch.equal(placed.test.labels, data.test_labels)
    np.testing.assert_array_equal(placed.val_indices, split.val_indices)
    assert (placed.class_names, placed.fingerprint) == (data.class_names, data.fingerprint)


def test_normalisation_is_of_the_training_part_alone() -> None:
    placed = _place(val_size=100, train_subset=50)
    mean, std = measure_mean_std(placed.train.images)
    assert torch.equal(placed.mean, mean)
    assert torch.equal(placed.std, std)
    assert not torch.equal(placed.mean, _place(val_size=100).mean)


@pytest.mark.parametrize("count", [1, 7])
def test_mean_and_std_are_exact(count: int) -> None:
    generator = torch.Generator().manual_seed(count)
    images = torch.randint(0, 256, (count, 3, 9, 9), generator=generator).to(torch.uint8)
    images[:, 1] //= 3
    mean, std = measure_mean_std(images)
    pixels = images.double() / 255
    torch.testing.assert_close(mean, pixels.mean(dim=(0, 2, 3)).float(), rtol=1e-7, atol=0)
    reference = pixels.std(dim=(0, 2, 3), correction=0).float()
    torch.testing.assert_close(std, reference, rtol=1e-7, atol=0)
    assert mean.dtype == std.dtype == torch.float32


def test_rows_are_read_where_they_lie() -> None:
    pixels = torch.arange(5 * 3 * 4, dtype=torch.uint8).view(5, 3, 2, 2)
    rows = torch.tensor([4, 0, 3])
    images = ImageRows(pixels, rows)
    expected = pixels[rows]
    assert (images.shape, len(images), images.device) == ((3, 3, 2, 2), 3, CPU)
    assert torch.equal(images[torch.tensor([2, 0])], expected[[2, 0]])
    assert torch.equal(images[::2][:1], expected[:1])
    assert [len(part) for part in images.split(2)] == [2, 1]
    assert torch.equal(torch.cat(list(images.split(2))), expected)
    pixels[4] = 9
    assert torch.equal(images[:1], pixels[4:])
    empty = ImageRows(pixels, rows[:0])
    assert [part.shape for part in empty.split(2)] == [(0, 3, 2, 2)]


def test_a_constant_channel_can_be_divided_by_its_std() -> None:
    images = torch.full((2, 3, 4, 4), 77, dtype=torch.uint8)
    mean, std = measure_mean_std(images)
    torch.testing.assert_close(mean, torch.full((3,), 77 / 255))
    torch.testing.assert_close(std, torch.full((3,), 1 / 255))


def test_the_test_part_comes_only_when_asked(reader: _Reader) -> None:
    assert _place(with_test=False).test is None
    assert device_module._place_test.cache_info().currsize == 0
    assert _place(with_test=True).test is not None
    assert _place(with_test=False).test is None
    assert reader.count == 1


def test_the_last_placement_is_remembered(reader: _Reader) -> None:
    first = _place(val_size=0.2)
    assert _place(val_size=0.2).train.images is first.train.images
    other = _place(val_size=0.2, split_seed=1)
    assert set(other.val_indices) != set(first.val_indices)
    assert reader.count == 1, "another split of the same data set"
    _place(test_size=100)
    assert reader.count == 2


def test_no_val_part_is_empty() -> None:
    placed = _place(val_size=0)
    assert placed.val.images.shape == (0, 3, 32, 32)
    assert placed.val.labels.shape == (0,)
    assert len(placed.train.images) == 1437


def test_another_root_is_another_data_set(tmp_path: Path) -> None:
    configs = []
    for value in (1, 2):
        root = tmp_path / str(value)
        root.mkdir()
        for part in ("train", "test"):
            images = np.full((4, 8, 8), value, np.uint8)
            np.savez(root / f"{part}.npz", images=images, labels=[0, 1, 0, 1])
        configs.append(ArraysConfig(root=str(root), val_size=2))
    placed = [place_data(config, CPU, with_test=False) for config in configs]
    assert [int(data.train.images[:].max()) for data in placed] == [1, 2]


@pytest.mark.slow
def test_importing_the_package_loads_neither_scikit_learn_nor_torchvision() -> None:
    code = (
        "import sys, resnet_sweep.data.device, resnet_sweep.data.image_folder,"
        "resnet_sweep.data.cifar, resnet_sweep.data.digits, resnet_sweep.data.arrays;"
        "print(sorted({'sklearn', 'torchvision', 'PIL', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
