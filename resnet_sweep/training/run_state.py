"""Everything that a run needs to go on as if it had never stopped."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from resnet_sweep.optim.scheduler import Schedule
from resnet_sweep.records.run_folder import EpochMetrics
from resnet_sweep.training.random_state import get_rng_state, set_rng_state
from resnet_sweep.training.step import TrainStep


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


def capture(position: Position, step: TrainStep, schedule: Schedule) -> dict[str, Any]:
    """Return the content of a checkpoint, the data's fingerprint apart."""
    state = {
        "position": asdict(position),
        "model": step.model.state_dict(),
        # Hyperparameters stay out: they follow from the configuration and the device.
        "optimizer": step.optimizer.state_dict()["state"],
        "schedule": schedule.state_dict(),
        "ema": None if step.ema is None else step.ema.model.state_dict(),
        "scaler": step.scaler.state_dict(),
        "sums": {"loss": step.loss_sum, "correct": step.correct},
        "rng": get_rng_state(),
    }
    if step.lookahead is not None:
        state["lookahead"] = step.lookahead.slow
    if step.swa is not None:
        state["swa"] = {"model": step.swa.model.state_dict(), "count": step.swa.count}
    return state


def restore(state: dict[str, Any], step: TrainStep, schedule: Schedule) -> Position:
    """Put a checkpoint's content back and return where it stood."""
    step.model.load_state_dict(state["model"])
    _load_optimizer_state(step.optimizer, state["optimizer"])
    schedule.load_state_dict(state["schedule"])
    if step.ema is not None:
        step.ema.model.load_state_dict(state["ema"])
    if step.lookahead is not None:
        step.lookahead.load(state["lookahead"])
    if step.swa is not None:
        step.swa.model.load_state_dict(state["swa"]["model"])
        step.swa.count = state["swa"]["count"]
    if state["scaler"] and step.scaler.is_enabled():
        step.scaler.load_state_dict(state["scaler"])
    step.loss_sum.copy_(state["sums"]["loss"])
    step.correct.copy_(state["sums"]["correct"])
    set_rng_state(state["rng"])
    values = state["position"]
    history = [EpochMetrics(**row) for row in values["history"]]
    return Position(**{**values, "history": history})


def _load_optimizer_state(optimizer: torch.optim.Optimizer, state: dict[Any, Any]) -> None:
    groups = optimizer.state_dict()["param_groups"]
    rates = [group["lr"] for group in optimizer.param_groups]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    for group, lr in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = lr
