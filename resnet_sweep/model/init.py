"""How the weights of a ResNet start: drawn, and in a whitened stem from the training images."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnet_sweep.config.init import InitConfig
from resnet_sweep.data.device import Images
from resnet_sweep.model.resnet import ResidualBlock, ResNet

# Of whitened stems.
EPS = 5e-4  # keeps the noise of directions without variance small, as airbench's
MAX_IMAGES = 2000
MAX_PIXELS = 2000 * 32**2  # of larger images fewer: two million patches are enough
CHUNK = 250
CHUNK_PIXELS = 250 * 32**2


def initialize(model: nn.Module, config: InitConfig) -> None:
    """Set all weights from torch's global generator, in the order of model.modules().

    Biases start at zero, normalisation at one and zero. Convolutions take the kaiming schemes
    with fan_out and the gain of ReLU, as torchvision's ResNet does (He et al. 2015,
    arXiv:1502.01852); linear layers with fan_in and gain 1, since no ReLU follows the
    classifier and its few outputs would make fan_out's logits large. `dirac` passes on each
    input channel through a filter of its own and leaves the rest to kaiming_normal. The other
    schemes are torch.nn.init's with their defaults.

    With zero_init_residual the last normalisation of each block starts at zero. A `preact`
    block ends in a convolution instead, whose weights then start at zero.
    """
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            _set_weight(module, config)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
    if config.zero_init_residual:
        for module in model.modules():
            if isinstance(module, ResidualBlock):
                nn.init.zeros_(module.last_layer.weight)


def _set_weight(layer: nn.Conv2d | nn.Linear, config: InitConfig) -> None:
    weight = layer.weight
    scheme = "kaiming_normal" if config.name == "dirac" else config.name
    options: dict[str, Any] = {}
    if scheme == "normal":
        options = {"std": config.std}
    elif scheme.startswith("kaiming"):
        is_linear = isinstance(layer, nn.Linear)
        mode, gain = ("fan_in", "linear") if is_linear else ("fan_out", "relu")
        options = {"mode": mode, "nonlinearity": gain}
    getattr(nn.init, f"{scheme}_")(weight, **options)
    if config.name == "dirac" and isinstance(layer, nn.Conv2d):
        # All filters beyond the first would be zeros, and their channels constant.
        nn.init.dirac_(weight[: weight.shape[1]])


def whiten_stem(net: nn.Module, images: Images, mean: Tensor, std: Tensor) -> None:
    """Set the fixed filters of a whitened stem; any other net stays as it is.

    Args:
        images: the training images, uint8 [N, 3, S, S]; up to 2,000 from all over them count,
            fewer of images larger than 32x32.
        mean, std: float32 [3], with which images are normalised.
    """
    layer = dict(net.stem.named_children()).get("whiten") if isinstance(net, ResNet) else None
    if not isinstance(layer, nn.Conv2d):
        return
    count = min(len(images), MAX_IMAGES, max(1, MAX_PIXELS // images.shape[-1] ** 2))
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
    chunk_size = min(CHUNK, max(1, CHUNK_PIXELS // images.shape[-1] ** 2))
    for chunk in images.split(chunk_size):
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
