"""Mixup, CutMix and RICAP: images share their frame and their label with others of the batch."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor

from resnet_sweep.config.augmentation import CutmixConfig, MixupConfig, RicapConfig
from resnet_sweep.data.augmentation.geometry import rectangles

# A power of two, so that scaling a draw below 1 cannot round up to the end of the table.
INTERVALS = 4096


@cache
def _beta_quantiles(alpha: float, device: torch.device) -> Tensor:
    from scipy.special import betaincinv  # slow to import, and most runs mix nothing

    values = betaincinv(alpha, alpha, np.linspace(0, 1, INTERVALS + 1))
    return torch.tensor(values, dtype=torch.float32, device=device)


def draw_beta(alpha: float, count: int, device: torch.device) -> Tensor:
    """Draw float32 [count] from Beta(alpha, alpha) by its inverse distribution function.

    Between 4,097 exact quantiles they are interpolated.
    """
    quantiles = _beta_quantiles(alpha, device)
    places = torch.rand(count, device=device) * INTERVALS
    index = places.long()
    return torch.lerp(quantiles[index], quantiles[index + 1], places - index)


def mixup_shares(lambdas: Tensor, size: int) -> Tensor:
    """Share of the image's own pixels, the same all over: [N] to [N, 1, size, size]."""
    return lambdas[:, None, None, None].expand(-1, 1, size, size)


def cutmix_shares(lambdas: Tensor, rows: Tensor, columns: Tensor, size: int) -> Tensor:
    """Share of the image's own pixels: 0 within a box of about 1 - lambda of the area, else 1.

    Args:
        lambdas: float [N].
        rows, columns: [N], centre of the box, which is cut off at the border.

    Returns:
        float [N, 1, size, size]; its mean is lambda corrected for what was cut off.
    """
    half = (0.5 * (1 - lambdas).sqrt() * size).floor()
    box = rectangles(rows - half, columns - half, 2 * half, 2 * half, size)
    return 1 - box.to(lambdas.dtype)


def combine(
    images: Tensor, labels: Tensor, partners: Tensor, shares: Tensor, num_classes: int
) -> tuple[Tensor, Tensor]:
    """Mix each image and its label with its partner's.

    Args:
        images: float [N, C, S, S].
        labels: int64 [N].
        partners: int64 [N], index into the batch.
        shares: float32 [N, 1, S, S] in [0, 1], of the image itself.

    Returns:
        images like those given, and float32 [N, num_classes] targets that sum to 1.
    """
    own = shares.to(images.dtype)
    mixed = images * own + images[partners] * (1 - own)
    share = shares.mean(dim=(1, 2, 3))[:, None]
    own_label = one_hot(labels, num_classes)
    return mixed, own_label * share + own_label[partners] * (1 - share)


def one_hot(labels: Tensor, num_classes: int) -> Tensor:
    """Map int64 [N] to float32 [N, num_classes]."""
    return (labels[:, None] == torch.arange(num_classes, device=labels.device)).float()


def _random_cutmix(images: Tensor, config: CutmixConfig) -> Tensor:
    count, size, device = len(images), images.shape[-1], images.device
    lambdas = draw_beta(config.alpha, count, device)
    used = torch.rand(count, device=device) < config.probability
    rows, columns = torch.randint(size, (2, count), device=device).unbind()
    return cutmix_shares(torch.where(used, lambdas, 1), rows, columns, size)


def mix(
    images: Tensor,
    labels: Tensor,
    mixup: MixupConfig | None,
    cutmix: CutmixConfig | None,
    num_classes: int,
) -> tuple[Tensor, Tensor]:
    """Mix by Mixup (arXiv:1710.09412), CutMix (arXiv:1905.04899) or one of them per image.

    At least one must be given. Partners are a permutation of the batch; see `combine`.
    """
    count, device = len(images), images.device
    shares = []
    if mixup:
        shares.append(mixup_shares(draw_beta(mixup.alpha, count, device), images.shape[-1]))
    if cutmix:
        shares.append(_random_cutmix(images, cutmix))
    if len(shares) == 2:
        coins = torch.rand(count, 1, 1, 1, device=device)
        shares = [torch.where(coins < 0.5, shares[0], shares[1])]
    partners = torch.rand(count, device=device).argsort()
    return combine(images, labels, partners, shares[0], num_classes)


def patch(
    images: Tensor,
    labels: Tensor,
    partners: Tensor,
    corner: Tensor,
    places: Tensor,
    num_classes: int,
) -> tuple[Tensor, Tensor]:
    """Fill the four parts around a corner, from upper left to lower right, with crops (RICAP).

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
    images: Tensor, labels: Tensor, config: RicapConfig, num_classes: int
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
