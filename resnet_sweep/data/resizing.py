"""Progressive resizing: small images first."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from resnet_sweep.config.train import TrainConfig

STEP = 4  # sizes are multiples, so that there are few


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
