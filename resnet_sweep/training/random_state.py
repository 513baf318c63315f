"""Random numbers: seeds that follow from (seed, epoch), and the generators' states."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


def epoch_seed(seed: int, epoch: int, stream: int) -> int:
    """Return an independent seed for each run seed, epoch and use.

    Args:
        stream: 0: order, 1: draws, 2: first flips.
    """
    words = np.random.SeedSequence([seed, epoch, stream]).generate_state(2, np.uint32)
    return int(words[0]) << 31 | int(words[1]) >> 1


def image_order(seed: int, epoch: int, images: int) -> torch.Tensor:
    """Return the order of the training images in one epoch, int64 [images], on the CPU."""
    generator = torch.Generator().manual_seed(epoch_seed(seed, epoch, 0))
    return torch.randperm(images, generator=generator)


def seed_draws(seed: int, epoch: int) -> None:
    """Seed what an epoch draws: augmentation, dropout, stochastic depth."""
    torch.manual_seed(epoch_seed(seed, epoch, 1))


def get_rng_state() -> dict[str, Any]:
    """Return the states of torch's default generators, of the CPU and of a GPU in use."""
    # A run on the CPU asks for none: that would make a context, with hundreds of MiB, on the GPU.
    cuda = torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def set_rng_state(state: dict[str, Any]) -> None:
    torch.set_rng_state(state["cpu"])
    if state["cuda"] is not None and torch.cuda.is_initialized():
        torch.cuda.set_rng_state(state["cuda"])
