"""Changes of pixel values: blends, lookup tables and hue, each image by its own amount.

Integer results agree with torchvision's functional operations on uint8 tensors, which
truncate where they convert to uint8.
"""

from __future__ import annotations

import torch
from torch import Tensor

from resnet_sweep.config.augmentation import ColorJitterConfig

LEVELS = 256


def grey(images: Tensor) -> Tensor:
    """Luma of RGB images in whole levels: uint8 [N, 3, S, S] to float32 [N, 1, S, S]."""
    red, green, blue = images.split(1, dim=1)
    luma: Tensor = 0.2989 * red + 0.587 * green + 0.114 * blue
    return luma.floor()


def grey_mean(grey_images: Tensor) -> Tensor:
    """Mean level per image: [N, 1, S, S] to [N, 1, 1, 1]."""
    return grey_images.mean(dim=(1, 2, 3), keepdim=True)


def blurred(images: Tensor) -> Tensor:
    """Smooth the inner pixels by [[1, 1, 1], [1, 5, 1], [1, 1, 1]] / 13; the border stays.

    uint8 [N, C, S, S] to float32 of whole levels.
    """
    levels = images.float()
    rows = levels[..., :-2, :] + levels[..., 1:-1, :] + levels[..., 2:, :]
    boxes = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]
    inner = levels[..., 1:-1, 1:-1]
    inner.copy_(((boxes + 4 * inner) / 13).round())
    return levels


def blend(images: Tensor, target: Tensor | float, magnitude: Tensor) -> Tensor:
    """Move each image away from its target by `magnitude` of their difference.

    Brightness has black as target, contrast the grey mean, saturation the grey image,
    sharpness the blurred image.

    Args:
        images: uint8 [N, 3, S, S].
        target: levels, broadcast to the images.
        magnitude: float32 [N]; 0: no change, -1: the target itself.
    """
    share = magnitude[:, None, None, None]
    mixed = (1 + share) * images + (-share) * target
    return mixed.clamp(0, LEVELS - 1).to(torch.uint8)


def shift_hue(images: Tensor, turns: Tensor) -> Tensor:
    """Turn the hue of uint8 RGB images by float32 [N] turns of the colour circle."""
    levels = images.float()
    red, green, blue = levels.unbind(1)
    peak = levels.amax(1)
    chroma = peak - levels.amin(1)
    divisor = chroma.clamp(min=1)
    cold = torch.where(peak == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor)
    sextant = torch.where(peak == red, (green - blue) / divisor, cold) + 6 * turns[:, None, None]
    # Red, green and blue fall off from their own sextants: HSV to RGB without cases.
    distance = (sextant[:, None] + torch.arange(5, 0, -2, device=images.device)[:, None, None]) % 6
    fall = torch.minimum(distance, 4 - distance).clamp(0, 1)
    return (peak[:, None] - chroma[:, None] * fall).round().to(torch.uint8)


def jitter(images: Tensor, magnitudes: Tensor) -> Tensor:
    """Change brightness, contrast, saturation and hue, in this order.

    Args:
        images: uint8 [N, 3, S, S].
        magnitudes: float32 [4, N], of three blends and of the turn of the hue.
    """
    brightness, contrast, saturation, hue = magnitudes.unbind()
    images = blend(images, 0.0, brightness)
    images = blend(images, grey_mean(grey(images)), contrast)
    images = blend(images, grey(images), saturation)
    return shift_hue(images, hue)


def color_jitter(images: Tensor, config: ColorJitterConfig) -> Tensor:
    """Apply `jitter` by uniform amounts within plus and minus the configured ones."""
    limits = (config.brightness, config.contrast, config.saturation, config.hue)
    draws = torch.rand(4, len(images), device=images.device) * 2 - 1
    return jitter(images, torch.stack([d * limit for d, limit in zip(draws, limits, strict=True)]))


def look_up(images: Tensor, tables: Tensor) -> Tensor:
    """Replace levels: uint8 [N, 3, S, S] through uint8 [N, 3, 256], a table per channel."""
    return tables.gather(2, images.flatten(2).long()).view(images.shape)


def autocontrast_tables(low: Tensor, high: Tensor) -> Tensor:
    """Stretch the levels from `low` to `high`, [N, 3, 1], over the whole range."""
    levels = torch.arange(LEVELS, device=low.device)
    scale = (LEVELS - 1) / (high - low).float()
    stretched = ((levels - low) * scale).clamp(0, LEVELS - 1)
    return torch.where(high > low, stretched, levels).to(torch.uint8)


def equalize_tables(histograms: Tensor, high: Tensor) -> Tensor:
    """Level a histogram, as PIL does.

    Args:
        histograms: int64 [N, 3, 256].
        high: int64 [N, 3, 1], the highest level that occurs.
    """
    levels = torch.arange(LEVELS, device=high.device)
    counts = histograms.sum(-1, keepdim=True) - histograms.gather(-1, high)
    step = counts // (LEVELS - 1)
    below = histograms.cumsum(-1) - histograms
    # The clamp keeps the branch that is not taken from dividing by 0.
    table = ((below + step // 2) // step.clamp(min=1)).clamp(0, LEVELS - 1)
    return torch.where(step > 0, table, levels).to(torch.uint8)


def histograms(images: Tensor) -> Tensor:
    """Count the levels of each channel: uint8 [N, 3, S, S] to int64 [N, 3, 256]."""
    count, channels = images.shape[:2]
    first = torch.arange(count * channels, device=images.device) * LEVELS
    index = (images.reshape(count * channels, -1) + first[:, None]).flatten()
    counts = torch.zeros(count * channels * LEVELS, dtype=torch.int64, device=images.device)
    counts.scatter_add_(0, index, torch.ones_like(index))
    return counts.view(count, channels, LEVELS)


def posterize_solarize_tables(step: Tensor, threshold: Tensor) -> Tensor:
    """Keep multiples of `step`, then invert from `threshold` on; both [N], tables [N, 1, 256]."""
    levels = torch.arange(LEVELS, device=step.device)
    kept = levels - levels % step[:, None, None]
    inverted = LEVELS - 1 - kept
    return torch.where(kept >= threshold[:, None, None], inverted, kept).to(torch.uint8)
