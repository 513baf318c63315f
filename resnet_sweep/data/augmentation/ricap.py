"""RICAP: crops of four images side by side, each with its share of the label."""

from __future__ import annotations

import torch
from torch import Tensor

from resnet_sweep.config.data import RicapConfig
from resnet_sweep.data.augmentation.mixing import draw_beta, one_hot


def patch(
    images: Tensor,
    labels: Tensor,
    partners: Tensor,
    corner: Tensor,
    places: Tensor,
    num_classes: int,
) -> tuple[Tensor, Tensor]:
    """Fill the four parts around a corner, from upper left to lower right, with crops.

    Takahashi et al. 2018 (arXiv:1811.09030, section III).

    Args:
        images: float [N, C, S, S].
        labels: int64 [N].
        partners: int64 [N, 4], the image of each part, as an index into the batch.
        corner: int64 [2, N], row and column at which the lower and right parts begin.
        places: int64 [2, N, 4], row and column of each crop in its image.

    Returns:
        images like those given, and float32 [N, num_classes] targets that sum to 1.
    """
    size = images.shape[-1]
    steps = torch.arange(size, device=images.device)
    lower, right = steps >= corner[0, :, None], steps >= corner[1, :, None]
    part = 2 * lower[:, :, None] + right[:, None, :].long()
    rows = steps - torch.where(lower, corner[0, :, None], 0)
    columns = steps - torch.where(right, corner[1, :, None], 0)
    flat = part.flatten(1)
    source = [each.gather(1, flat).view(part.shape) for each in (partners, *places)]
    pixels = images[source[0], :, source[1] + rows[:, :, None], source[2] + columns[:, None, :]]
    shares = part_sizes(corner, size).prod(0).float() / size**2
    targets = (one_hot(labels, num_classes)[partners] * shares[:, :, None]).sum(1)
    return pixels.permute(0, 3, 1, 2), targets


def part_sizes(corner: Tensor, size: int) -> Tensor:
    """Return height and width of the four parts, int64 [2, N, 4]."""
    rows, columns = corner
    heights = torch.stack((rows, rows, size - rows, size - rows), 1)
    widths = torch.stack((columns, size - columns, columns, size - columns), 1)
    return torch.stack((heights, widths))


def random_ricap(
    images: Tensor,
    labels: Tensor,
    config: RicapConfig,
    num_classes: int,
) -> tuple[Tensor, Tensor]:
    """Apply `patch` at random; the upper left part is the image's own."""
    count, size, device = len(images), images.shape[-1], images.device
    draws = draw_beta(config.beta, 2 * count, device).view(2, count)
    corner = (draws * size).round().long()
    others = torch.rand(count, 3, device=device).argsort(0)
    own = torch.arange(count, device=device)[:, None]
    spare = size - part_sizes(corner, size)
    chances = torch.rand(2, count, 4, device=device)
    places = torch.minimum((chances * (spare + 1)).long(), spare)
    return patch(images, labels, torch.cat((own, others), 1), corner, places, num_classes)
