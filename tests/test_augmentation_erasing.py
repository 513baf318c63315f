"""Cutout and random erasing: their shapes, their places, their frequencies."""

from __future__ import annotations

import math

import pytest
import torch
from conftest import seeded
from scipy import stats
from torch import Tensor
from torchvision.transforms import RandomErasing

from resnet_sweep.config.augmentation import CutoutConfig, RandomErasingConfig
from resnet_sweep.data.augmentation.geometry import cutout, first_fitting, random_erasing


def erased(images: Tensor) -> Tensor:
    """Where all channels of images of ones are 0 now: bool [N, S, S]."""
    assert torch.equal(images.amin(1), images.amax(1))
    return images[:, 0] == 0


@pytest.mark.parametrize("side", [1, 4, 5])
def test_cutout_erases_the_part_of_a_square_that_lies_within(side: int) -> None:
    size, count = 8, 6400
    torch.manual_seed(0)
    masks = erased(cutout(torch.ones(count, 3, size, size), CutoutConfig(side)))
    seen: dict[tuple[int, ...], int] = {}
    for mask in masks:
        key = tuple(mask.flatten().int().tolist())
        seen[key] = seen.get(key, 0) + 1
    expected = set()
    for top in range(-(side // 2), size - side // 2):
        for left in range(-(side // 2), size - side // 2):
            mask = torch.zeros(size, size, dtype=torch.int64)
            mask[max(top, 0) : top + side, max(left, 0) : left + side] = 1
            expected.add(tuple(mask.flatten().tolist()))
    assert seen.keys() == expected
    assert len(expected) == size**2
    assert max(abs(n - 100) for n in seen.values()) < 50


def test_cutout_keeps_what_is_outside_and_the_dtype() -> None:
    images = torch.randn(5, 3, 8, 8, generator=seeded()).bfloat16()
    torch.manual_seed(0)
    results = cutout(images, CutoutConfig(4))
    assert results.dtype == torch.bfloat16
    assert torch.equal(results, images * (results != 0))


def test_first_fitting_is_the_first_candidate_smaller_than_the_image() -> None:
    size, generator = 10, seeded()
    areas = torch.rand(200, 4, generator=generator) * 150
    aspects = (2 * torch.rand(200, 4, generator=generator) - 1).exp()
    heights, widths = first_fitting(areas, aspects, size)
    fallbacks = 0
    for n in range(200):
        sides = [
            (round(math.sqrt(a * r)), round(math.sqrt(a / r)))
            for a, r in zip(areas[n].tolist(), aspects[n].tolist(), strict=True)
        ]
        fitting = [(h, w) for h, w in sides if h < size and w < size]
        fallbacks += not fitting
        assert (heights[n].item(), widths[n].item()) == (fitting[0] if fitting else (0, 0))
    assert 0 < fallbacks < 100


def test_random_erasing_erases_areas_and_shapes_as_torchvision() -> None:
    size, count = 16, 3000
    torch.manual_seed(0)
    masks = erased(random_erasing(torch.ones(count, 1, size, size), RandomErasingConfig(1)))
    torch.manual_seed(0)
    reference = RandomErasing(p=1, scale=(0.02, 0.33), ratio=(0.3, 1 / 0.3))
    expected = torch.stack([reference(torch.ones(1, size, size)) for _ in range(count)])[:, 0] == 0
    measures = (
        lambda m: m.sum((1, 2)),
        lambda m: m.any(2).sum(1),
        lambda m: m.any(2).int().argmax(1),
        lambda m: m.any(1).int().argmax(1),
    )
    for measure in measures:
        assert stats.ks_2samp(measure(masks), measure(expected)).pvalue > 0.01
    boxes = masks.any(2).sum(1) * masks.any(1).sum(1)
    assert torch.equal(boxes, masks.sum((1, 2)))


def test_random_erasing_has_its_probability() -> None:
    config = RandomErasingConfig(probability=0.3)
    torch.manual_seed(0)
    masks = erased(random_erasing(torch.ones(3000, 1, 16, 16), config))
    share = masks.any(2).any(1).float().mean()
    assert abs(share - 0.3) < 4 * (0.3 * 0.7 / 3000) ** 0.5
