"""Everything that a run needs to go on as if it had never stopped."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from resnet_sweep.optim.ema import AveragedWeights
from resnet_sweep.optim.scheduler import Schedule
from resnet_sweep.records.run_folder import EpochMetrics
from resnet_sweep.step import TrainStep


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


def epoch_seed(seed: int, epoch: int, stream: int) -> int:
    """Return an independent seed for each run seed, epoch and use (0: order, 1: draws)."""
    words = np.random.SeedSequence([seed, epoch, stream]).generate_state(2, np.uint32)
    return int(words[0]) << 31 | int(words[1]) >> 1


def image_order(seed: int, epoch: int, images: int) -> torch.Tensor:
    """Return the order of the training images in one epoch, int64 [images], on the CPU."""
    generator = torch.Generator().manual_seed(epoch_seed(seed, epoch, 0))
    return torch.randperm(images, generator=generator)


def seed_draws(seed: int, epoch: int) -> None:
    """Seed what an epoch draws: augmentation, dropout, stochastic depth."""
    torch.manual_seed(epoch_seed(seed, epoch, 1))


def capture(
    position: Position, step: TrainStep, schedule: Schedule, ema: AveragedWeights | None
) -> dict[str, Any]:
    """Return the content of a checkpoint."""
    return {
        "position": asdict(position),
        "model": step.model.state_dict(),
        # Hyperparameters stay out: they follow from the configuration and the device.
        "optimizer": step.optimizer.state_dict()["state"],
        "schedule": schedule.state_dict(),
        "ema": None if ema is None else ema.model.state_dict(),
        "scaler": step.scaler.state_dict(),
        "sums": {"loss": step.loss_sum, "correct": step.correct},
        "rng": _rng_state(),
    }


def restore(
    state: dict[str, Any], step: TrainStep, schedule: Schedule, ema: AveragedWeights | None
) -> Position:
    """Put a checkpoint's content back and return where it stood."""
    step.model.load_state_dict(state["model"])
    _load_optimizer_state(step.optimizer, state["optimizer"])
    schedule.load_state_dict(state["schedule"])
    if ema is not None:
        ema.model.load_state_dict(state["ema"])
    step.scaler.load_state_dict(state["scaler"])
    step.loss_sum.copy_(state["sums"]["loss"])
    step.correct.copy_(state["sums"]["correct"])
    _set_rng_state(state["rng"])
    values = state["position"]
    history = [EpochMetrics(**row) for row in values["history"]]
    return Position(**{**values, "history": history})


def kept_model(model: nn.Module, ema: AveragedWeights | None) -> nn.Module:
    """Return the net that is evaluated and kept: the averaged one where there is one."""
    return model if ema is None else ema.model


def _load_optimizer_state(optimizer: torch.optim.Optimizer, state: dict[Any, Any]) -> None:
    groups = optimizer.state_dict()["param_groups"]
    rates = [group["lr"] for group in optimizer.param_groups]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    for group, lr in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = lr


def _rng_state() -> dict[str, Any]:
    cuda = torch.cuda.get_rng_state() if torch.cuda.is_available() else None
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def _set_rng_state(state: dict[str, Any]) -> None:
    torch.set_rng_state(state["cpu"])
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
