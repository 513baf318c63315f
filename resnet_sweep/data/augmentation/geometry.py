"""What moves or removes pixels: crop, flip, affine warp, resizing, rectangles and their erasing."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from resnet_sweep.config.augmentation import CropFlipConfig, CutoutConfig, RandomErasingConfig
from resnet_sweep.config.train import TrainConfig

CANDIDATES = 10  # rectangles of random erasing
STEP = 4  # sizes are multiples, so that there are few


def crop_flip(images: Tensor, top: Tensor, left: Tensor, flipped: Tensor, padding: int) -> Tensor:
    """Crop each zero-padded image at its own place, then mirror the chosen ones left to right.

    Args:
        images: [N, C, S, S].
        top, left: int64 [N] in [0, 2 * padding], the corner within the padded image.
        flipped: bool [N].
    """
    size = images.shape[-1]
    steps = torch.arange(size, device=images.device)
    rows = top[:, None] + steps
    columns = left[:, None] + torch.where(flipped[:, None], size - 1 - steps, steps)
    places = rows[:, :, None] * (size + 2 * padding) + columns[:, None, :]
    index = places.flatten(1)[:, None].expand(-1, images.shape[1], -1)
    padded = F.pad(images, [padding] * 4)
    return padded.flatten(2).gather(2, index).view(images.shape)


def random_crop_flip(
    images: Tensor, config: CropFlipConfig, flipped: Tensor | None = None
) -> Tensor:
    """Apply `crop_flip` at uniform places; `flipped` null: drawn as well."""
    count, device = len(images), images.device
    top, left = torch.randint(2 * config.padding + 1, (2, count), device=device).unbind()
    if flipped is None:
        flipped = torch.rand(count, device=device) < config.flip_probability
    return crop_flip(images, top, left, flipped, config.padding)


class AlternatingFlips:
    """Which images are mirrored in an epoch: each one in every other epoch.

    Jordan 2024 (arXiv:2404.00498, section 3.6). Follows from seed and epoch, so that a
    checkpoint need not hold it; the epoch is a tensor in its place, for a CUDA graph.

    Args:
        seed: draws the images that are mirrored in the first epoch.
        images: how many there are.
    """

    def __init__(self, seed: int, images: int, device: torch.device) -> None:
        generator = torch.Generator().manual_seed(seed)
        self._first = (torch.rand(images, generator=generator) < 0.5).to(device)
        self._is_odd = torch.zeros((), dtype=torch.bool, device=device)

    def set_epoch(self, epoch: int) -> None:
        self._is_odd.fill_(epoch % 2 == 1)

    def __call__(self, indices: Tensor) -> Tensor:
        """Return bool [N] for the images at `indices`, int64 [N]."""
        return self._first[indices] ^ self._is_odd


def warp(images: Tensor, matrices: Tensor) -> Tensor:
    """Move pixels by an affine map per image, nearest sampling, black from outside the frame.

    Args:
        images: uint8 [N, C, S, S].
        matrices: float32 [N, 6], a to f: the output at (x, y), in pixels from the centre of the
            image, takes the input at (a x + b y + c, d x + e y + f).
    """
    size = images.shape[-1]
    a, b, c, d, e, f = (matrices / (size / 2))[:, :, None, None].unbind(1)
    x = torch.arange(size, device=images.device) - (size - 1) / 2
    y = x[:, None]
    # Elementwise and not as a matrix product, which tf32 would blur by parts of a pixel.
    grid = torch.stack((a * x + b * y + c, d * x + e * y + f), dim=-1)
    return F.grid_sample(images.float(), grid, mode="nearest", align_corners=False).to(images.dtype)


def train_image_size(config: TrainConfig, epoch: int, full: int) -> int:
    """Return the side of the training images in an epoch, counted from 0.

    From train.start_image_size in a straight line to `full`, rounded down to a multiple of 4;
    full from the part train.full_size_from of the run on (Howard 2018, fast.ai's DAWNBench
    entry; Karras et al. 2018, arXiv:1710.10196, grow a net likewise).
    """
    start, until = config.start_image_size, config.full_size_from * config.epochs
    if start is None or start >= full or epoch >= until:
        return full
    size = start + (full - start) * epoch / until
    return max(start, int(size) // STEP * STEP)


def resize(images: Tensor, size: int) -> Tensor:
    """Scale float [N, C, S, S] down to [N, C, size, size], averaging what falls together."""
    if images.shape[-1] == size:
        return images
    return F.interpolate(images, (size, size), mode="bilinear", antialias=True)


def rectangles(top: Tensor, left: Tensor, height: Tensor, width: Tensor, size: int) -> Tensor:
    """Mark a rectangle per image, cut off at the border: bool [N, 1, size, size]."""
    steps = torch.arange(size, device=top.device)
    rows = (steps >= top[:, None]) & (steps < (top + height)[:, None])
    columns = (steps >= left[:, None]) & (steps < (left + width)[:, None])
    return (rows[:, :, None] & columns[:, None, :])[:, None]


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
