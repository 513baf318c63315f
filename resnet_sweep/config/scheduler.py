"""Schemas of the `scheduler` group."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional

from resnet_sweep.config.errors import require, require_int, require_number

ONE_CYCLE_WARMUP = 0.3  # of the run, where warmup_epochs is null


@dataclass
class SchedulerConfig:
    """What every schedule has.

    Args:
        warmup_epochs: epochs in which the learning rate rises from zero, in a straight line.
    """

    name: str = "constant"
    warmup_epochs: Optional[float] = 0.0

    def __post_init__(self) -> None:
        require_number("scheduler.warmup_epochs", self.warmup_epochs, 0, or_null=True)


@dataclass
class CosineConfig(SchedulerConfig):
    """Half a cosine from the peak to final_fraction of it (arXiv:1608.03983), step by step.

    Args:
        final_fraction: learning rate at the end, as a fraction of the peak.
    """

    name: str = "cosine"
    final_fraction: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_number("scheduler.final_fraction", self.final_fraction, 0, 1)


@dataclass
class CosineRestartsConfig(CosineConfig):
    """Half a cosine again and again, from the peak each time (arXiv:1608.03983).

    The cycles fill the run after the warm-up, whatever its length, and the last one ends with it.

    Args:
        cycles: how many.
        cycle_factor: length of each over that of the one before.
    """

    name: str = "cosine_restarts"
    cycles: int = 3
    cycle_factor: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_int("scheduler.cycles", self.cycles, 1, 100)
        require_number("scheduler.cycle_factor", self.cycle_factor, 1, 10)


@dataclass
class LinearConfig(CosineConfig):
    """A straight line from the peak to final_fraction of it, step by step."""

    name: str = "linear"


@dataclass
class OneCycleConfig(SchedulerConfig):
    """Up from peak/div_factor and down to peak/(div_factor*final_div_factor), both cosines.

    Smith and Topin 2017 (arXiv:1708.07120), as torch's OneCycleLR with a constant momentum.

    Args:
        warmup_epochs: length of the way up; null: 0.3 of the run.
        div_factor: the peak over the learning rate at the start.
        final_div_factor: the learning rate at the start over the one at the end.
    """

    name: str = "one_cycle"
    warmup_epochs: Optional[float] = None
    div_factor: float = 25.0
    final_div_factor: float = 1e4

    def __post_init__(self) -> None:
        super().__post_init__()
        require_number("scheduler.div_factor", self.div_factor, 1)
        require_number("scheduler.final_div_factor", self.final_div_factor, 1)


@dataclass
class ConstantConfig(SchedulerConfig):
    """The peak throughout."""


@dataclass
class MultistepConfig(SchedulerConfig):
    """Times gamma at each milestone.

    Args:
        milestones: fractions of the run, so that the shape holds for any train.epochs
            (He et al. 2015, section 4.2: a half and three quarters).
        gamma: factor of the learning rate at each milestone.
    """

    name: str = "multistep"
    milestones: list[float] = field(default_factory=lambda: [0.5, 0.75])
    gamma: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        for milestone in self.milestones:
            require_number("scheduler.milestones", milestone, 0, 1, open_low=True, open_high=True)
        rising = self.milestones == sorted(set(self.milestones))
        require(rising, "scheduler.milestones", self.milestones, "must rise")
        require_number("scheduler.gamma", self.gamma, 0, 1, open_low=True)


@dataclass
class StepConfig(SchedulerConfig):
    """Times gamma every step_epochs epochs.

    Args:
        step_epochs: epochs between two changes.
        gamma: factor of the learning rate at each change.
    """

    name: str = "step"
    step_epochs: int = 30
    gamma: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        require_int("scheduler.step_epochs", self.step_epochs, 1)
        require_number("scheduler.gamma", self.gamma, 0, 1, open_low=True)


@dataclass
class ExponentialConfig(SchedulerConfig):
    """Times gamma after every epoch.

    Args:
        gamma: factor of the learning rate after each epoch.
    """

    name: str = "exponential"
    gamma: float = 0.95

    def __post_init__(self) -> None:
        super().__post_init__()
        require_number("scheduler.gamma", self.gamma, 0, 1, open_low=True)


@dataclass
class PlateauConfig(SchedulerConfig):
    """Times factor when the validation loss has not fallen for `patience` epochs.

    As torch's ReduceLROnPlateau.

    Args:
        factor: of the learning rate at each change.
        patience: epochs without a fall of the validation loss before a change.
        threshold: relative fall that counts.
        min_fraction: floor, as a fraction of the peak.
    """

    name: str = "plateau"
    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    min_fraction: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_number("scheduler.factor", self.factor, 0, 1, open_low=True, open_high=True)
        require_int("scheduler.patience", self.patience, 0)
        require_number("scheduler.threshold", self.threshold, 0, 1)
        require_number("scheduler.min_fraction", self.min_fraction, 0, 1)
