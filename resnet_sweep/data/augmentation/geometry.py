"""Moves of pixels: crop, flip, affine warp; and rectangles."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from resnet_sweep.config.data import CropFlipConfig


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
    images: Tensor,
    config: CropFlipConfig,
    flipped: Tensor | None = None,
) -> Tensor:
    """Apply `crop_flip` at uniform places; `flipped` null: drawn as well."""
    count, device = len(images), images.device
    top, left = torch.randint(2 * config.padding + 1, (2, count), device=device).unbind()
    if flipped is None:
        draws = torch.rand(count, device=device)
        flipped = draws < config.flip_probability
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


def rectangles(top: Tensor, left: Tensor, height: Tensor, width: Tensor, size: int) -> Tensor:
    """Mark a rectangle per image, cut off at the border: bool [N, 1, size, size]."""
    steps = torch.arange(size, device=top.device)
    rows = (steps >= top[:, None]) & (steps < (top + height)[:, None])
    columns = (steps >= left[:, None]) & (steps < (left + width)[:, None])
    return (rows[:, :, None] & columns[:, None, :])[:, None]
