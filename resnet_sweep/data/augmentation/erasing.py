"""Parts of an image replaced by the mean colour, which is 0 in normalised images."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from resnet_sweep.config.data import CutoutConfig, RandomErasingConfig
from resnet_sweep.data.augmentation.geometry import rectangles

CANDIDATES = 10


def cutout(images: Tensor, config: CutoutConfig) -> Tensor:
    """Erase a square around a uniform pixel, cut off at the border (arXiv:1708.04552).

    Args:
        images: normalised float [N, C, S, S].
    """
    count, size = len(images), images.shape[-1]
    centres = torch.randint(size, (2, count), device=images.device)
    top, left = (centres - config.size // 2).unbind()
    side = torch.full_like(top, config.size)
    return images.masked_fill(rectangles(top, left, side, side, size), 0)


def first_fitting(areas: Tensor, aspects: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Pick the first rectangle that is smaller than the image, per image.

    Args:
        areas: float [N, candidates], in pixels.
        aspects: float [N, candidates], height over width.

    Returns:
        heights, widths: [N], whole pixels; 0 where none fits.
    """
    heights, widths = (areas * aspects).sqrt().round(), (areas / aspects).sqrt().round()
    fits = (heights < size) & (widths < size)
    first = fits.int().argmax(1, keepdim=True)
    sides = torch.stack((heights, widths)) * fits
    height, width = sides.gather(2, first.expand(2, -1, -1)).squeeze(2).unbind()
    return height, width


def random_erasing(images: Tensor, config: RandomErasingConfig) -> Tensor:
    """Erase a random rectangle (arXiv:1708.04896, algorithm 1).

    The area is uniform, the logarithm of the aspect ratio too; of `CANDIDATES` rectangles
    the first that fits counts, as a loop until one fits would have to wait for the device.

    Args:
        images: normalised float [N, C, S, S].
    """
    count, size, device = len(images), images.shape[-1], images.device
    shapes = torch.rand(2, count, CANDIDATES, device=device)
    areas = (config.min_area + (config.max_area - config.min_area) * shapes[0]) * size**2
    aspects = (math.log(config.min_aspect) * (2 * shapes[1] - 1)).exp()
    height, width = first_fitting(areas, aspects, size)
    places = torch.rand(3, count, device=device)
    top, left = (places[0] * (size - height + 1)).floor(), (places[1] * (size - width + 1)).floor()
    height = height * (places[2] < config.probability)
    return images.masked_fill(rectangles(top, left, height, width, size), 0)
