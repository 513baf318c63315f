"""Decoded images are read where the cache has them, so that workers share their pages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT
from PIL import Image

from resnet_sweep.config.data import ImageFolderConfig
from resnet_sweep.data.device import place_data
from resnet_sweep.data.registry import load_dataset

CPU = torch.device("cpu")


@pytest.fixture
def config(tmp_path: Path) -> ImageFolderConfig:
    """Of 2 x 2 x 40 noise images of 64 x 64 pixels, 1.9 MiB decoded; the cache is there."""
    generator = np.random.default_rng(0)
    for index in range(160):
        part, name = ("train", "test")[index % 2], ("cat", "dog")[index // 2 % 2]
        path = tmp_path / "images" / part / name / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path)
    root, cache = str(tmp_path / "images"), str(tmp_path / "cache")
    found = ImageFolderConfig(root=root, cache_dir=cache, image_size=64, val_size=20)
    load_dataset(found)
    return found


def mapped_file(address: int) -> str:
    """Return the file whose mapping holds an address of this process."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        first, last = (int(end, 16) for end in line.split()[0].split("-"))
        if first <= address < last:
            return line.split(maxsplit=5)[5] if len(line.split()) > 5 else ""
    raise AssertionError("not mapped")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_all_parts_lie_in_the_caches_file(config: ImageFolderConfig, tmp_path: Path) -> None:
    data = place_data(config, CPU, with_test=True)
    (file,) = (tmp_path / "cache").glob("*.npy")
    assert data.test is not None and isinstance(data.test.images, torch.Tensor)
    addresses = [data.test.images.data_ptr()]
    for part in (data.train, data.val):
        assert not isinstance(part.images, torch.Tensor)
        addresses.append(part.images._pixels.data_ptr())
    assert {mapped_file(address) for address in addresses} == {str(file)}


def test_what_a_run_writes_is_its_own(config: ImageFolderConfig, tmp_path: Path) -> None:
    (file,) = (tmp_path / "cache").glob("*.npy")
    before = file.read_bytes()
    data = load_dataset(config)
    expected = 255 - data.train_images
    data.train_images.copy_(expected)
    assert torch.equal(data.train_images, expected)
    assert file.read_bytes() == before


def test_a_cache_that_is_replaced_leaves_a_run_its_images(
    config: ImageFolderConfig, tmp_path: Path
) -> None:
    data = load_dataset(config)
    expected = data.train_images.clone()
    first = next((tmp_path / "images" / "train" / "cat").iterdir())
    Image.new("RGB", (64, 64)).save(first)
    fresh = load_dataset(config)  # decodes again and replaces the file
    assert not torch.equal(fresh.train_images, expected)
    assert torch.equal(data.train_images, expected)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_benchmark_of_shared_images_runs(config: ImageFolderConfig, tmp_path: Path) -> None:
    script = str(ROOT / "benchmarks" / "shared_images.py")
    command = [sys.executable, script, str(config.root), "--workers", "2"]
    environment = {"XDG_CACHE_HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("2 workers: ")
