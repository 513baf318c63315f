"""Corruptions against scipy, Pillow, torchvision, matplotlib and the distributions they promise."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.colors import hsv_to_rgb, rgb_to_hsv
from PIL import Image
from scipy import ndimage
from sklearn.datasets import load_sample_images
from torch import Tensor

from resnet_sweep.config.predict import CORRUPTIONS, NUM_STRENGTHS
from resnet_sweep.data import corruption
from resnet_sweep.data.corruption import corrupt

STRENGTHS = range(1, NUM_STRENGTHS + 1)
SEED = 5


@lru_cache
def photos() -> Tensor:
    """Patches of scikit-learn's two photographs, every fourth pixel: uint8 [54, 3, 32, 32]."""
    patches = []
    for photo in load_sample_images().images:
        small = photo[::4, ::4]
        for top in range(0, 96, 32):
            patches += [small[top : top + 32, left : left + 32] for left in range(0, 129, 16)]
    return torch.from_numpy(np.stack(patches)).permute(0, 3, 1, 2).contiguous()


def grey(level: int, count: int = 40) -> Tensor:
    return torch.full((count, 3, 32, 32), level, dtype=torch.uint8)


def unit(images: Tensor) -> np.ndarray:
    return images.numpy().astype(np.float64) / 255


def assert_nearest(got: Tensor, expected: np.ndarray) -> None:
    """Every grey value is the nearest to what is expected, or one of two that are as near."""
    exact = np.clip(expected * 255, 0, 255)
    assert np.abs(got.numpy() - exact).max() <= 0.5 + 1e-3


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_pixels_follow_from_image_and_seed_alone(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = photos()
    before = images.clone()
    whole = corrupt(images, name, 3, SEED)
    assert whole.dtype == torch.uint8 and whole.shape == images.shape
    assert torch.equal(images, before)
    monkeypatch.setattr(corruption, "CHUNK", 7)
    torch.manual_seed(1)
    assert torch.equal(corrupt(images, name, 3, SEED), whole)
    places = np.array([50, 3, 17])
    assert torch.equal(corrupt(images[places], name, 3, SEED, places), whole[places])
    drawn = name.endswith("_noise")
    assert torch.equal(corrupt(images, name, 3, SEED + 1), whole) != drawn
    twins = corrupt(images[[0, 0]], name, 3, SEED)
    assert torch.equal(twins[0], twins[1]) != drawn


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_strengths_are_in_order(name: str) -> None:
    images = photos()
    errors = [
        ((corrupt(images, name, strength, SEED).float() - images.float()) ** 2).mean().item()
        for strength in STRENGTHS
    ]
    psnr = 10 * np.log10(255**2 / np.array(errors))
    assert (np.diff(psnr) < 0).all(), psnr
    assert psnr.min() > 10 and psnr.max() < 55, psnr


@pytest.mark.parametrize("size", [4, 7, 48])
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_other_sizes(name: str, size: int) -> None:
    images = grey(90, 2)[:, :, :1, :1].expand(-1, -1, size, size).contiguous()
    assert corrupt(images, name, 5, SEED).shape == images.shape
    assert corrupt(images[:0], name, 5, SEED).shape == (0, 3, size, size)


@pytest.mark.parametrize("strength", STRENGTHS)
def test_gaussian_noise(strength: int) -> None:
    sd = (0.04, 0.06, 0.08, 0.09, 0.10)[strength - 1]
    noise = unit(corrupt(grey(128), "gaussian_noise", strength, SEED)) - 128 / 255
    n = noise.size
    expected = (sd**2 + 1 / 12 / 255**2) ** 0.5  # rounding adds the variance of a uniform draw
    assert noise.std() == pytest.approx(expected, rel=4 / (2 * n) ** 0.5)
    assert noise.mean() == pytest.approx(0, abs=4 * sd / n**0.5)
    # Neighbours, channels and images are independent.
    for other in (np.roll(noise, 1, axis) for axis in range(4)):
        assert abs((noise * other).mean() / sd**2) < 4 / n**0.5


@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("level", [40, 128])
def test_shot_noise_has_the_variance_of_photons(strength: int, level: int) -> None:
    photons = (500, 250, 100, 75, 50)[strength - 1]
    counts = unit(corrupt(grey(level, 60), "shot_noise", strength, SEED)) * photons
    if photons <= 250:  # then each count has a grey value of its own
        counts = counts.round()
    mean = level / 255 * photons
    assert counts.mean() == pytest.approx(mean, abs=4 * (mean / counts.size) ** 0.5 + 0.02)
    assert counts.var() == pytest.approx(mean, rel=0.015 if photons <= 250 else 0.05)


def test_shot_noise_leaves_black() -> None:
    assert torch.equal(corrupt(grey(0), "shot_noise", 5, SEED), grey(0))


@pytest.mark.parametrize("strength", STRENGTHS)
def test_impulse_noise(strength: int) -> None:
    share = (0.01, 0.02, 0.03, 0.05, 0.07)[strength - 1]
    values = corrupt(grey(100), "impulse_noise", strength, SEED).numpy()
    assert set(np.unique(values)) == {0, 100, 255}
    for level in (0, 255):
        p, n = share / 2, values.size
        assert (values == level).mean() == pytest.approx(p, abs=4 * (p * (1 - p) / n) ** 0.5)


@pytest.mark.parametrize("strength", STRENGTHS)
def test_gaussian_blur_is_scipys(strength: int) -> None:
    sigma = (0.4, 0.6, 0.7, 0.8, 1.0)[strength - 1]
    images = photos()
    expected = ndimage.gaussian_filter(unit(images), (0, 0, sigma, sigma), mode="nearest")
    assert_nearest(corrupt(images, "gaussian_blur", strength, SEED), expected)


@pytest.mark.parametrize("strength", STRENGTHS)
def test_defocus_blur_is_a_soft_disk(strength: int) -> None:
    radius = (0.3, 0.4, 0.5, 1.0, 1.5)[strength - 1]
    softness = (0.4, 0.5, 0.6, 0.2, 0.1)[strength - 1]
    rows, columns = np.mgrid[-8:9, -8:9]
    disk = (rows**2 + columns**2 <= radius**2).astype(float)
    # A Gaussian cut off at one pixel: scipy rounds truncate * sigma to a radius.
    kernel = ndimage.gaussian_filter(disk, softness, mode="constant", truncate=1 / softness)
    images = photos()
    expected = ndimage.convolve(unit(images), kernel[None, None] / kernel.sum(), mode="mirror")
    assert_nearest(corrupt(images, "defocus_blur", strength, SEED), expected)


@pytest.mark.parametrize("strength", STRENGTHS)
def test_brightness_raises_the_value_of_hsv(strength: int) -> None:
    gain = (0.05, 0.1, 0.15, 0.2, 0.3)[strength - 1]
    images = torch.cat([photos(), grey(0, 1), grey(255, 1)])
    hsv = rgb_to_hsv(unit(images).transpose(0, 2, 3, 1))
    hsv[..., 2] = np.clip(hsv[..., 2] + gain, 0, 1)
    expected = hsv_to_rgb(hsv).transpose(0, 3, 1, 2)
    assert_nearest(corrupt(images, "brightness", strength, SEED), expected)


@pytest.mark.parametrize("strength", STRENGTHS)
def test_contrast_keeps_means_and_scales_deviations(strength: int) -> None:
    factor = (0.75, 0.5, 0.4, 0.3, 0.15)[strength - 1]
    images = photos()
    before, after = unit(images), unit(corrupt(images, "contrast", strength, SEED))
    means, deviations = before.mean((2, 3), keepdims=True), before.std((2, 3))
    assert np.abs(after.mean((2, 3), keepdims=True) - means).max() < 0.5 / 255
    assert np.abs(after.std((2, 3)) - factor * deviations).max() < 0.5 / 255
    assert_nearest(
        corrupt(images, "contrast", strength, SEED), factor * before + (1 - factor) * means
    )


@pytest.mark.parametrize("strength", STRENGTHS)
def test_jpeg_is_pillows(strength: int, tmp_path: Path) -> None:
    quality = (80, 65, 58, 50, 40)[strength - 1]
    images = photos()[:10]
    corrupted = corrupt(images, "jpeg_compression", strength, SEED)
    for image, result in zip(images, corrupted, strict=True):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(tmp_path / "a.jpg", quality=quality)
        with Image.open(tmp_path / "a.jpg") as reread:
            assert np.array_equal(result.permute(1, 2, 0).numpy(), np.asarray(reread))
