"""Fixed first filters that give the patches of the training images unit covariance."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnet_sweep.data.device import Images
from resnet_sweep.model.resnet import ResNet

EPS = 5e-4  # keeps the noise of directions without variance small, as airbench's
MAX_IMAGES = 2000  # some two million patches of 32x32 images
CHUNK = 250


def whiten_stem(net: nn.Module, images: Images, mean: Tensor, std: Tensor) -> None:
    """Set the fixed filters of a whitened stem; any other net stays as it is.

    Args:
        images: the training images, uint8 [N, 3, S, S]; up to 2,000 from all over them count.
        mean, std: float32 [3], with which images are normalised.
    """
    layer = dict(net.stem.named_children()).get("whiten") if isinstance(net, ResNet) else None
    if not isinstance(layer, nn.Conv2d):
        return
    count = min(len(images), MAX_IMAGES)
    chosen = images[torch.arange(count) * len(images) // count].cpu()  # the last ones as well
    shape = (1, 3, 1, 1)
    pixels = (chosen.double() / 255 - mean.cpu().view(shape)) / std.cpu().view(shape)
    filters = whitening_filters(patch_covariance(pixels, layer.kernel_size[0]), EPS)
    with torch.no_grad():
        layer.weight.copy_(filters.view(layer.weight.shape))


def patch_covariance(images: Tensor, size: int) -> Tensor:
    """Return the covariance [C * size^2, C * size^2] of all whole patches of [N, C, S, S]."""
    features = images.shape[1] * size**2
    total = torch.zeros(features, dtype=images.dtype)
    products = torch.zeros(features, features, dtype=images.dtype)
    count = 0
    for chunk in images.split(CHUNK):
        patches = F.unfold(chunk, size).transpose(1, 2).flatten(0, 1)
        total += patches.sum(0)
        products += patches.T @ patches
        count += len(patches)
    mean = total / count
    return products / count - torch.outer(mean, mean)


def whitening_filters(covariance: Tensor, eps: float) -> Tensor:
    """Return a filter in each row, the eigenvector over the root of its eigenvalue plus eps.

    From the largest eigenvalue to the smallest; the largest weight of each is positive.
    """
    values, vectors = torch.linalg.eigh(covariance)
    rows = vectors.flip(1).T
    largest = rows.gather(1, rows.abs().argmax(1, keepdim=True))
    scale = (values.flip(0).clamp(min=0) + eps).rsqrt()
    filters: Tensor = rows * largest.sign() * scale[:, None]
    return filters
