"""Shorter trainings of the same trial, with the whole schedule compressed into each.

A run cut off at a third of its schedule ranks badly the runs that reach the end of theirs.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from resnet_sweep.config import Config
from resnet_sweep.config.optim import (
    ExponentialConfig,
    PlateauConfig,
    SchedulerConfig,
    StepConfig,
)
from resnet_sweep.records.sweep_folder import RUNG


def compressed(config: Config, epochs: int) -> Config:
    """Return the run with all of its schedule in `epochs` epochs."""
    share = epochs / config.train.epochs
    half_life = config.regularization.ema_half_life_epochs
    return replace(
        config,
        train=replace(config.train, epochs=epochs),
        scheduler=_compressed(config.scheduler, share),
        regularization=replace(
            config.regularization,
            ema_half_life_epochs=None if half_life is None else half_life * share,
        ),
    )


def rung_dir(run_dir: Path, epochs: int) -> Path:
    return run_dir / f"{RUNG}{epochs}"


def _compressed(scheduler: SchedulerConfig, share: float) -> SchedulerConfig:
    if scheduler.warmup_epochs is not None:
        scheduler = replace(scheduler, warmup_epochs=scheduler.warmup_epochs * share)
    match scheduler:
        case StepConfig(step_epochs=step_epochs):
            return replace(scheduler, step_epochs=max(1, round(step_epochs * share)))
        case ExponentialConfig(gamma=gamma):
            return replace(scheduler, gamma=gamma ** (1 / share))
        case PlateauConfig(patience=patience):
            return replace(scheduler, patience=round(patience * share))
    return scheduler
