"""Learning rates as pure functions of the step."""

from __future__ import annotations

import bisect
import itertools
import math
from typing import Any

from resnet_sweep.config.scheduler import (
    ONE_CYCLE_WARMUP,
    ConstantConfig,
    CosineConfig,
    CosineRestartsConfig,
    ExponentialConfig,
    LinearConfig,
    MultistepConfig,
    OneCycleConfig,
    PlateauConfig,
    SchedulerConfig,
    StepConfig,
)


def lr_fraction(config: SchedulerConfig, step: int, steps_per_epoch: int, epochs: int) -> float:
    """Return the learning rate of one step as a fraction of the peak; plateau's is 1.

    Args:
        step: from 0 to epochs * steps_per_epoch - 1.
    """
    total = epochs * steps_per_epoch
    if isinstance(config, OneCycleConfig):
        way_up = config.warmup_epochs
        way_up = ONE_CYCLE_WARMUP * epochs if way_up is None else way_up
        return one_cycle(config, step, total, way_up * steps_per_epoch)
    warmup = round((config.warmup_epochs or 0.0) * steps_per_epoch)
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / (total - warmup)
    match config:
        case CosineRestartsConfig():
            part = cycle_progress(config, step - warmup, total - warmup)
            return config.final_fraction + (1 - config.final_fraction) * _half_cosine(part)
        case LinearConfig():
            return 1 - (1 - config.final_fraction) * progress
        case CosineConfig():
            return config.final_fraction + (1 - config.final_fraction) * _half_cosine(progress)
        case MultistepConfig():
            # Milestones count whole steps, so that rounding never moves one.
            passed = bisect.bisect_right([round(m * total) for m in config.milestones], step)
            return float(config.gamma**passed)
        case StepConfig():
            return float(config.gamma ** (step // steps_per_epoch // config.step_epochs))
        case ExponentialConfig():
            return float(config.gamma ** (step // steps_per_epoch))
        case PlateauConfig() | ConstantConfig():
            return 1.0
    raise AssertionError(f"no schedule for {config}")


def one_cycle(config: OneCycleConfig, step: int, total: int, warmup: float) -> float:
    """Return torch's OneCycleLR (two cosine phases) as a fraction of its peak."""
    top = max(warmup - 1, 0.0)
    start, end = 1 / config.div_factor, 1 / (config.div_factor * config.final_div_factor)
    if step < top:
        return 1 - (1 - start) * _half_cosine(step / top)
    way_down = (step - top) / max(total - 1 - top, 1e-9)
    return end + (1 - end) * _half_cosine(min(way_down, 1.0))


def cycle_progress(config: CosineRestartsConfig, step: int, total: int) -> float:
    """Return how much of its cycle has passed at a step, from 0 up to but not including 1.

    Cycles begin at whole steps, so that rounding never moves a restart.
    """
    lengths = [config.cycle_factor**i for i in range(config.cycles)]
    ends = [round(total * end / sum(lengths)) for end in itertools.accumulate(lengths)]
    cycle = bisect.bisect_right(ends, step)
    start = ends[cycle - 1] if cycle else 0
    return (step - start) / (ends[cycle] - start)


def _half_cosine(progress: float) -> float:
    """Return 1 at progress 0 and 0 at progress 1."""
    return (1 + math.cos(math.pi * progress)) / 2


class Schedule:
    """The learning rate of every step of a run; only plateau has a state."""

    def __init__(
        self, config: SchedulerConfig, peak_lr: float, steps_per_epoch: int, epochs: int
    ) -> None:
        self.config = config
        self.peak_lr = peak_lr
        self.steps_per_epoch = steps_per_epoch
        self.epochs = epochs
        self.plateau_fraction = 1.0
        self.best_loss = math.inf
        self.bad_epochs = 0

    def lr(self, step: int) -> float:
        fraction = lr_fraction(self.config, step, self.steps_per_epoch, self.epochs)
        return self.peak_lr * fraction * self.plateau_fraction

    def end_epoch(self, val_loss: float | None) -> None:
        """Take note of an epoch's validation loss (as torch's ReduceLROnPlateau does)."""
        if not isinstance(self.config, PlateauConfig) or val_loss is None:
            return
        if val_loss < self.best_loss * (1 - self.config.threshold):
            self.best_loss, self.bad_epochs = val_loss, 0
            return
        self.bad_epochs += 1
        if self.bad_epochs > self.config.patience:
            reduced = self.plateau_fraction * self.config.factor
            self.plateau_fraction = max(reduced, self.config.min_fraction)
            self.bad_epochs = 0

    def state_dict(self) -> dict[str, Any]:
        names = ("plateau_fraction", "best_loss", "bad_epochs")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)
