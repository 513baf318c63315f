"""Blends, lookup tables and hue against torchvision's functional operations."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torchvision.transforms import functional as TF

from resnet_sweep.config.augmentation import ColorJitterConfig
from resnet_sweep.data.augmentation import color


def noise(count: int, size: int = 9) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (count, 3, size, size), generator=generator, dtype=torch.uint8)


def every_colour() -> Tensor:
    """All combinations of 16 levels, greys and pure colours among them: uint8 [1, 3, 64, 64]."""
    levels = torch.arange(0, 256, 17, dtype=torch.uint8)
    return torch.cartesian_prod(levels, levels, levels).T.reshape(1, 3, 64, 64)


BLENDS: list[tuple[Callable[..., Tensor], Callable[..., Tensor]]] = [
    (lambda x: torch.zeros(()), TF.adjust_brightness),
    (lambda x: color.grey_mean(color.grey(x)), TF.adjust_contrast),
    (color.grey, TF.adjust_saturation),
    (color.blurred, TF.adjust_sharpness),
]


@pytest.mark.parametrize(("target", "reference"), BLENDS)
def test_blend(target: Callable[..., Tensor], reference: Callable[..., Tensor]) -> None:
    images = noise(60)
    magnitudes = torch.linspace(-1, 1, len(images))
    results = color.blend(images, target(images), magnitudes)
    for image, magnitude, result in zip(images, magnitudes.tolist(), results, strict=True):
        assert torch.equal(result, reference(image, 1 + magnitude)), magnitude


def test_hue() -> None:
    turns = torch.linspace(-0.5, 0.5, 41)
    results = color.shift_hue(every_colour().expand(41, -1, -1, -1), turns)
    for turn, result in zip(turns.tolist(), results, strict=True):
        expected = TF.adjust_hue(every_colour()[0], turn)
        assert (result.int() - expected.int()).abs().max() <= 1


def test_no_turn_of_the_hue_changes_nothing() -> None:
    assert torch.equal(color.shift_hue(every_colour(), torch.zeros(1)), every_colour())


def test_jitter_takes_its_steps_in_order() -> None:
    images = noise(20)
    magnitudes = torch.rand(4, 20, generator=torch.Generator().manual_seed(1)) * 0.8 - 0.4
    results = color.jitter(images, magnitudes)
    for image, draw, result in zip(images, magnitudes.T.tolist(), results, strict=True):
        expected = TF.adjust_brightness(image, 1 + draw[0])
        expected = TF.adjust_contrast(expected, 1 + draw[1])
        expected = TF.adjust_saturation(expected, 1 + draw[2])
        expected = TF.adjust_hue(expected, draw[3])
        assert (result.int() - expected.int()).abs().max() <= 4
        assert (result.int() - expected.int()).abs().float().mean() < 1


def test_color_jitter_draws_within_its_limits() -> None:
    image = torch.full((3000, 3, 1, 1), 100, dtype=torch.uint8)
    config = ColorJitterConfig(brightness=0.5, contrast=0, saturation=0, hue=0)
    torch.manual_seed(0)
    levels = color.color_jitter(image, config)[:, 0, 0, 0].float()
    assert 50 <= levels.min() < 52 and 148 < levels.max() <= 150
    # Truncation takes half a level off the mean; the deviation is that of a uniform draw.
    assert levels.mean() == pytest.approx(99.5, abs=4 * 100 / 12**0.5 / 3000**0.5)
    assert levels.std() == pytest.approx(100 / 12**0.5, rel=0.05)


def test_color_jitter_of_nothing() -> None:
    images = noise(5)
    config = ColorJitterConfig(brightness=0, contrast=0, saturation=0, hue=0)
    assert torch.equal(color.color_jitter(images, config), images)


def test_histograms() -> None:
    images = noise(4)
    counts = color.histograms(images)
    for image, count in zip(images.flatten(0, 1), counts.flatten(0, 1), strict=True):
        assert torch.equal(count, torch.bincount(image.flatten(), minlength=256))


def test_lookup_takes_a_table_per_image_and_channel() -> None:
    images = noise(4)
    tables = noise(4, 16).view(4, 3, 256)
    results = color.look_up(images, tables)
    for n, c in ((0, 0), (1, 2), (3, 1)):
        assert torch.equal(results[n, c], tables[n, c][images[n, c].long()])
