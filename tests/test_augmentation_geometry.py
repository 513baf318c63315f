"""Crop, flip, warp and rectangles against torchvision and slices."""

from __future__ import annotations

import torch
from torchvision.transforms.v2 import functional as TF

from resnet_sweep.config.augmentation import CropFlipConfig
from resnet_sweep.data.augmentation.geometry import crop_flip, random_crop_flip, rectangles, warp


def noise(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(1, 256, shape, generator=generator, dtype=torch.uint8)


def test_crop_flip_at_every_place() -> None:
    padding, size = 2, 7
    places = [(t, x, f) for t in range(5) for x in range(5) for f in (False, True)]
    images = noise(len(places), 3, size, size)
    top, left, flipped = (torch.tensor(values) for values in zip(*places, strict=True))
    results = crop_flip(images, top, left, flipped, padding)
    for image, (t, x, f), result in zip(images, places, results, strict=True):
        expected = TF.crop(TF.pad(image, [padding]), t, x, size, size)
        assert torch.equal(result, TF.horizontal_flip(expected) if f else expected)


def test_crop_flip_draws_uniform_places() -> None:
    count, size, padding = 6000, 5, 1
    # Each pixel names its place, so that the centre tells the crop and its neighbours the flip.
    image = torch.arange(1, 26, dtype=torch.uint8).view(1, 1, size, size)
    config = CropFlipConfig(padding=padding, flip_probability=0.25)
    torch.manual_seed(0)
    results = random_crop_flip(image.expand(count, 3, -1, -1), config)[:, 0]
    centres = (results[:, 2, 2] - 1).long()
    rows, columns = centres // size - 1, centres % size - 1
    counts = torch.bincount(rows * 3 + columns, minlength=9)
    assert counts.shape == (9,)
    assert (counts / count - 1 / 9).abs().max() < 4 * (1 / 9 * 8 / 9 / count) ** 0.5
    flipped = (results[:, 2, 1] > results[:, 2, 2]).float().mean()
    assert abs(flipped - 0.25) < 4 * (0.25 * 0.75 / count) ** 0.5


def test_crop_without_padding_or_flip_changes_nothing() -> None:
    images = noise(4, 3, 6, 6)
    result = random_crop_flip(images, CropFlipConfig(padding=0, flip_probability=0))
    assert torch.equal(result, images)


def test_warp_takes_a_map_per_image() -> None:
    images = noise(4, 3, 8, 8)
    matrices = torch.tensor(
        [
            [1.0, 0, 0, 0, 1, 0],
            [0.0, -1, 0, 1, 0, 0],
            [-1.0, 0, 0, 0, 1, 0],
            [1.0, 0, 2, 0, 1, -3],
        ]
    )
    results = warp(images, matrices)
    assert torch.equal(results[0], images[0])
    assert torch.equal(results[1], images[1].rot90(1, (1, 2)))
    assert torch.equal(results[2], images[2].flip(2))
    assert torch.equal(results[3, :, 3:, :6], images[3, :, :5, 2:])
    assert results[3, :, :3].sum() == 0 and results[3, :, :, 6:].sum() == 0


def test_rectangles_are_cut_off_at_the_border() -> None:
    top, left = torch.tensor([-2, 1, 4, 0]), torch.tensor([3, -1, 5, 0])
    height, width = torch.tensor([4, 2, 9, 0]), torch.tensor([1, 3, 1, 6])
    masks = rectangles(top, left, height, width, 6)
    expected = torch.zeros(4, 1, 6, 6, dtype=torch.bool)
    expected[0, 0, :2, 3:4] = True
    expected[1, 0, 1:3, :2] = True
    expected[2, 0, 4:, 5:] = True
    assert torch.equal(masks, expected)
