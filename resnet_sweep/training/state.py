"""What a run stands on between two steps: its position, and the random numbers ahead."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from resnet_sweep.records.run_folder import EpochMetrics


@dataclass
class Position:
    """Where a run stands.

    Args:
        epoch: finished epochs.
        step: finished steps of the epoch after them.
        history: one entry for each finished epoch.
        train_seconds: over all sittings.
        step_seconds: of them, in training steps.
        epoch_seconds: of them, in the epoch that is under way.
    """

    epoch: int = 0
    step: int = 0
    history: list[EpochMetrics] = field(default_factory=list)
    train_seconds: float = 0.0
    step_seconds: float = 0.0
    epoch_seconds: float = 0.0


def read_position(values: dict[str, Any]) -> Position:
    """Return the position that a checkpoint holds as plain values."""
    history = [EpochMetrics(**row) for row in values["history"]]
    return Position(**{**values, "history": history})


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
