"""The configuration of a run: dataclass schemas and the checks across their fields.

Free of torch, so that help, sweeps and analysis start at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional

from resnet_sweep.config.augmentation import AugmentationConfig
from resnet_sweep.config.data import CifarConfig, DataConfig
from resnet_sweep.config.errors import require, require_int
from resnet_sweep.config.init import InitConfig
from resnet_sweep.config.model import ModelConfig, ResNetConfig
from resnet_sweep.config.optimizer import OptimizerConfig, SgdConfig
from resnet_sweep.config.regularization import RegularizationConfig
from resnet_sweep.config.scheduler import (
    CosineConfig,
    OneCycleConfig,
    PlateauConfig,
    SchedulerConfig,
)
from resnet_sweep.config.trackers import TrackerConfig
from resnet_sweep.config.train import TrainConfig

__all__ = ["Config"]


@dataclass
class Config:
    """One run, completely.

    Args:
        seed: of the weights, the order of the images and all random draws in training.
        resume: run folder to go on with.
        evaluate_test: read the test set once, after training.
    """

    seed: int = 0
    resume: Optional[str] = None
    evaluate_test: bool = True
    model: ModelConfig = field(default_factory=ResNetConfig)
    optimizer: OptimizerConfig = field(default_factory=SgdConfig)
    scheduler: SchedulerConfig = field(default_factory=CosineConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    regularization: RegularizationConfig = field(default_factory=RegularizationConfig)
    init: InitConfig = field(default_factory=InitConfig)
    data: DataConfig = field(default_factory=CifarConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    tracker: TrackerConfig = field(default_factory=TrackerConfig)

    def __post_init__(self) -> None:
        require_int("seed", self.seed, 0, 2**32 - 1)  # torch's generator takes no more bits
        allowed = "goes on the command line by itself, as resume=RUN_FOLDER"
        require(self.resume is None, "resume", self.resume, allowed)
        if isinstance(self.scheduler, SchedulerConfig):  # a raw node while Hydra composes
            self._check_schedule()
            self._check_ghost_norm()
            self._check_resizing()
            self._check_plain_net()

    def _check_schedule(self) -> None:
        warmup, epochs = self.scheduler.warmup_epochs, self.train.epochs
        given = warmup is not None or isinstance(self.scheduler, OneCycleConfig)
        require(given, "scheduler.warmup_epochs", warmup, "must be a number")
        short = warmup is None or warmup < epochs
        allowed = f"must be less than train.epochs={epochs}"
        require(short, "scheduler.warmup_epochs", warmup, allowed)
        needs_val = isinstance(self.scheduler, PlateauConfig) and self.data.val_size == 0
        allowed = "needs a validation loss: set data.val_size above 0 or take another scheduler"
        require(not needs_val, "scheduler", self.scheduler.name, allowed)

    def _check_ghost_norm(self) -> None:
        ghost, batch = self.regularization.ghost_batch_size, self.train.batch_size
        fits = ghost is None or ghost >= batch or batch % ghost == 0
        allowed = f"must divide train.batch_size={batch}"
        require(fits, "regularization.ghost_batch_size", ghost, allowed)

    def _check_resizing(self) -> None:
        small = self.train.start_image_size
        fixed = isinstance(self.model, ResNetConfig) and self.model.pool_size is not None
        allowed = "needs a net that takes images of any size: model.pool_size=null"
        require(small is None or not fixed, "train.start_image_size", small, allowed)

    def _check_plain_net(self) -> None:
        """Refuse what makes a block without a shortcut give nothing but zeros."""
        if not isinstance(self.model, ResNetConfig) or self.model.shortcut != "none":
            return
        depth, zero = self.regularization.stochastic_depth, self.init.zero_init_residual
        allowed = "must be {} with model.shortcut=none: such a block would give zeros"
        require(depth == 0, "regularization.stochastic_depth", depth, allowed.format(0))
        require(not zero, "init.zero_init_residual", zero, allowed.format("false"))
