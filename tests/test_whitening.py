"""The whitened stem: its outputs on the training images have unit covariance."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import make_tiny_config
from torch import Tensor

from resnet_sweep.config import Config
from resnet_sweep.config.model import ResNetConfig
from resnet_sweep.config.optimizer import MuonConfig
from resnet_sweep.config.regularization import RegularizationConfig
from resnet_sweep.model.init import (
    EPS,
    MAX_IMAGES,
    patch_covariance,
    whiten_stem,
    whitening_filters,
)
from resnet_sweep.model.resnet import ResNet
from resnet_sweep.records.checkpoint import read_model
from resnet_sweep.training.run import run_training


def images(count: int = 60) -> Tensor:
    """Noise that a blur has correlated, so that its patches are far from white."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(count, 3, 16, 16, generator=generator, dtype=torch.float64)
    mixed = torch.einsum("ij,njxy->nixy", torch.tril(torch.ones(3, 3)).double(), noise)
    return F.avg_pool2d(mixed, 3, stride=1) + 0.3


def covariance(outputs: Tensor) -> Tensor:
    """That of numpy, over images and places."""
    flat = outputs.transpose(0, 1).flatten(1).numpy()
    return torch.from_numpy(np.cov(flat, bias=True))


@pytest.mark.parametrize("size", [1, 3, 5])
def test_outputs_have_unit_covariance(size: int) -> None:
    pixels = images()
    filters = whitening_filters(patch_covariance(pixels, size), 0.0)
    outputs = F.conv2d(pixels, filters.view(-1, 3, size, size))
    torch.testing.assert_close(covariance(outputs), torch.eye(3 * size**2).double())


def test_patch_covariance_is_numpys() -> None:
    pixels = images(7)
    windows = pixels.unfold(2, 3, 1).unfold(3, 3, 1)
    patches = windows.permute(0, 2, 3, 1, 4, 5).reshape(-1, 27).numpy()
    expected = torch.from_numpy(np.cov(patches.T, bias=True))
    torch.testing.assert_close(patch_covariance(pixels, 3), expected)


def test_directions_without_variance_stay_small() -> None:
    grey = images()[:, :1].expand(-1, 3, -1, -1)
    filters = whitening_filters(patch_covariance(grey, 3), EPS)
    assert filters.isfinite().all() and filters.norm(dim=1).max() <= EPS**-0.5 + 1e-6


def tiny(**fields: object) -> Config:
    config = make_tiny_config()
    config.model = ResNetConfig(
        widths=[4, 8],
        blocks=[1, 1],
        strides=[2, 2],
        whitened_stem=True,
        **fields,  # type: ignore[arg-type]
    )
    return config


def test_the_stem_of_a_net_is_whitened() -> None:
    pixels = torch.randint(0, 256, (300, 3, 32, 32), dtype=torch.uint8)
    mean, std = torch.tensor([0.4, 0.5, 0.6]), torch.tensor([0.2, 0.25, 0.3])
    net = ResNet(tiny().model, 10)  # type: ignore[arg-type]
    whiten_stem(net, pixels, mean, std)
    whiten = net.stem.get_submodule("whiten")
    assert [p.requires_grad for p in whiten.parameters()] == [False]
    floats = (pixels.float() / 255 - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    inner = whiten(floats)[:, :, 1:-1, 1:-1]
    torch.testing.assert_close(
        covariance(inner.double()), torch.eye(27).double(), atol=2e-3, rtol=0
    )


def test_images_from_all_over_the_set_count() -> None:
    """Folders come class by class: the first 2,000 of 3,000 images lack a third of the classes."""
    pixels = torch.randint(100, 110, (MAX_IMAGES + 1000, 3, 8, 8), dtype=torch.uint8)
    pixels[MAX_IMAGES:] = torch.randint(0, 256, (1000, 3, 8, 8), dtype=torch.uint8)
    mean, std = torch.full((3,), 0.4), torch.full((3,), 0.2)
    net = ResNet(tiny().model, 10)  # type: ignore[arg-type]
    whiten_stem(net, pixels, mean, std)
    floats = (pixels.float() / 255 - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    inner = net.stem.get_submodule("whiten")(floats)[:, :, 1:-1, 1:-1]
    found = covariance(inner.detach().double()).diagonal()
    torch.testing.assert_close(found, torch.ones(27).double(), atol=0.1, rtol=0)


def test_large_images_take_no_more_memory_than_small_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of 256x256 pixels 31 images have two million patches; each is unfolded by itself."""
    monkeypatch.setattr("resnet_sweep.model.init.CHUNK_PIXELS", 4 * 64**2)
    monkeypatch.setattr("resnet_sweep.model.init.MAX_PIXELS", 10 * 64**2)
    sizes: list[int] = []

    def unfold(images: Tensor, size: int) -> Tensor:
        sizes.append(len(images))
        return F.unfold(images, size)

    pixels = torch.randint(0, 256, (40, 3, 64, 64), dtype=torch.uint8)
    net = ResNet(tiny().model, 10)  # type: ignore[arg-type]
    monkeypatch.setattr("resnet_sweep.model.init.F", SimpleNamespace(unfold=unfold))
    whiten_stem(net, pixels, torch.full((3,), 0.5), torch.full((3,), 0.2))
    assert sizes == [4, 4, 2]


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", [None, MuonConfig()])
def test_training_leaves_the_filters_and_their_average(
    tmp_path: Path, optimizer: MuonConfig | None
) -> None:
    config = tiny()
    config.regularization = RegularizationConfig(sam="sam", ema_half_life_epochs=0.5)
    if optimizer is not None:
        config.optimizer = optimizer
    result = run_training(config, tmp_path / "run")
    assert result.status == "completed", result.error
    one = tiny()
    one.optimizer.lr = 1e-6
    one.train.epochs = 1
    run_training(one, tmp_path / "one")
    weights = [read_model(tmp_path / n)["state_dict"]["stem.whiten.weight"] for n in ("run", "one")]
    assert torch.equal(*weights)
