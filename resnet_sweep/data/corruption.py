"""Corruptions of test images at five strengths, with the parameters of CIFAR-10-C.

Hendrycks and Dietterich 2019 (arXiv:1903.12261, section 4.1); the parameters are those of the
program with which its authors made CIFAR-10-C, for images of 32 pixels: radii are in pixels.
Results are rounded to whole grey values, where CIFAR-10-C cuts the fraction off.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from typing import Any
from zlib import crc32

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from resnet_sweep.config.predict import CORRUPTIONS, NUM_STRENGTHS

# Images at once: a whole data set of floats would take gigabytes.
CHUNK = 500

# What each corruption has at each strength.
PARAMETERS: dict[str, list[Any]] = {
    "gaussian_noise": [0.04, 0.06, 0.08, 0.09, 0.10],  # standard deviation
    "shot_noise": [500, 250, 100, 75, 50],  # photons where a pixel is white
    "impulse_noise": [0.01, 0.02, 0.03, 0.05, 0.07],  # share of the values
    "gaussian_blur": [0.4, 0.6, 0.7, 0.8, 1.0],  # sigma
    "defocus_blur": [(0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1.0, 0.2), (1.5, 0.1)],  # and softness
    "brightness": [0.05, 0.10, 0.15, 0.20, 0.30],  # gain
    "contrast": [0.75, 0.5, 0.4, 0.3, 0.15],  # factor
    "jpeg_compression": [80, 65, 58, 50, 40],  # quality
}

Draw = Callable[[Callable[[np.random.Generator, int], NDArray[np.generic]]], Tensor]
"""Calls its argument with each image's generator and row, and stacks the results."""


def corrupt(
    images: Tensor, name: str, strength: int, seed: int, places: NDArray[np.int64] | None = None
) -> Tensor:
    """Return corrupted copies of images.

    The random draws of an image follow from the seed, the corruption and its place in the data
    set alone: they are the same however the data set is divided, and for all five strengths.

    Args:
        images: uint8 [N, 3, S, S] on the CPU.
        name: one of CORRUPTIONS.
        strength: from 1 to NUM_STRENGTHS.
        places: of the images in the data set; null: from 0 on.
    """
    assert name in CORRUPTIONS and 1 <= strength <= NUM_STRENGTHS
    places = np.arange(len(images)) if places is None else places
    corrupted = torch.empty_like(images)
    for start in range(0, len(images), CHUNK):
        part = slice(start, start + CHUNK)
        draw = _drawing(name, seed, places[part])
        corrupted[part] = _apply(images[part], name, PARAMETERS[name][strength - 1], draw)
    return corrupted


def _apply(images: Tensor, name: str, value: Any, draw: Draw) -> Tensor:
    if name == "jpeg_compression":
        return jpeg(images, value)
    pixels = images.float() / 255
    match name:
        case "gaussian_noise":
            shape = pixels.shape[1:]
            noise = draw(lambda generator, _: generator.standard_normal(shape, np.float32))
            pixels = pixels + value * noise
        case "shot_noise":
            pixels = shot_noise(pixels, value, draw)
        case "impulse_noise":
            pixels = impulse_noise(pixels, value, draw)
        case "gaussian_blur":
            pixels = gaussian_blur(pixels, value)
        case "defocus_blur":
            pixels = defocus_blur(pixels, *value)
        case "brightness":
            pixels = brighten(pixels, value)
        case "contrast":
            pixels = scale_contrast(pixels, value)
    return (pixels * 255).round_().clamp_(0, 255).to(torch.uint8)


def shot_noise(pixels: Tensor, photons: float, draw: Draw) -> Tensor:
    """Count photons: Poisson with mean `photons` where a pixel is white."""
    expected = (pixels.double() * photons).numpy()
    return draw(lambda generator, row: generator.poisson(expected[row])) / photons


def impulse_noise(pixels: Tensor, share: float, draw: Draw) -> Tensor:
    """Set a share of the values (of each channel by itself) to black or white, evenly."""
    shape = pixels.shape[1:]
    uniform = draw(lambda generator, _: generator.random(shape, np.float32))
    black, white = uniform < share / 2, uniform >= 1 - share / 2
    return pixels.masked_fill(black, 0.0).masked_fill(white, 1.0)


def gaussian_blur(pixels: Tensor, sigma: float) -> Tensor:
    """Blur along rows and columns; the kernel ends at 4 sigma, edge pixels go on outside."""
    radius = int(4 * sigma + 0.5)
    offsets = torch.arange(-radius, radius + 1)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = kernel / kernel.sum()
    maps = F.pad(_maps(pixels), (radius,) * 4, mode="replicate")
    maps = F.conv2d(maps, kernel.view(1, 1, -1, 1))
    return F.conv2d(maps, kernel.view(1, 1, 1, -1)).view_as(pixels)


def defocus_blur(pixels: Tensor, radius: float, softness: float) -> Tensor:
    """Average over a disk with a soft rim; the image is mirrored at its edge pixels."""
    kernel = defocus_kernel(radius, softness)
    maps = F.pad(_maps(pixels), (len(kernel) // 2,) * 4, mode="reflect")
    return F.conv2d(maps, kernel.view(1, 1, *kernel.shape)).view_as(pixels)


def defocus_kernel(radius: float, softness: float) -> Tensor:
    """Return the disk of the pixels whose centres lie within `radius`, blurred over 3x3 pixels.

    Args:
        softness: sigma of the blur in pixels.
    """
    offsets = torch.arange(-math.floor(radius) - 1, math.floor(radius) + 2)
    disk = (offsets[:, None] ** 2 + offsets**2 <= radius**2).float()
    bell = torch.exp(-0.5 * (torch.arange(-1, 2) / softness) ** 2)
    soft = F.conv2d(disk[None, None], torch.outer(bell, bell)[None, None], padding=1)[0, 0]
    return soft / soft.sum()


def brighten(pixels: Tensor, gain: float) -> Tensor:
    """Add to the value of HSV; hue and saturation stay, so the channels keep their ratios."""
    value = pixels.amax(dim=1, keepdim=True)
    raised = (value + gain).clamp(max=1.0)
    return torch.where(value > 0, pixels * (raised / value.clamp(min=1e-6)), raised)


def scale_contrast(pixels: Tensor, factor: float) -> Tensor:
    """Move every channel towards its mean over the image."""
    mean = pixels.mean(dim=(2, 3), keepdim=True)
    return (pixels - mean) * factor + mean


def jpeg(images: Tensor, quality: int) -> Tensor:
    """Write images as JPEG with Pillow's settings and read them again."""
    from PIL import Image

    corrupted = np.empty_like(images.numpy())
    for place, image in enumerate(images.permute(0, 2, 3, 1).contiguous().numpy()):
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "JPEG", quality=quality)
        corrupted[place] = np.asarray(Image.open(buffer)).transpose(2, 0, 1)
    return torch.from_numpy(corrupted)


def _drawing(name: str, seed: int, places: NDArray[np.int64]) -> Draw:
    """Return what draws for the images at these places of the data set.

    Philox is a function of key and counter: every place has a stretch of 2**192 blocks.
    """
    key = np.array([seed, crc32(name.encode())], np.uint64)

    def draw(make: Callable[[np.random.Generator, int], NDArray[np.generic]]) -> Tensor:
        rows = []
        for row, place in enumerate(places):
            counter = np.array([0, 0, 0, place], np.uint64)
            generator = np.random.Generator(np.random.Philox(key=key, counter=counter))
            rows.append(make(generator, row))
        return torch.from_numpy(np.stack(rows)).float()

    return draw


def _maps(pixels: Tensor) -> Tensor:
    """[N, 3, S, S] -> [3N, 1, S, S]."""
    return pixels.reshape(-1, 1, *pixels.shape[2:])
