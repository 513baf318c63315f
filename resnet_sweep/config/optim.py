"""Schemas of the `optimizer` and `scheduler` groups."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional

from resnet_sweep.config.errors import (
    require,
    require_int,
    require_number,
    require_one_of,
)

LR_POWERS = {"none": 0.0, "linear": 1.0, "sqrt": 0.5}  # of batch_size / 256, by lr_scaling
IMPLEMENTATIONS = ("auto", "fused", "foreach")
ONE_CYCLE_WARMUP = 0.3  # of the run, where warmup_epochs is null


@dataclass
class OptimizerConfig:
    """What every optimizer has.

    Args:
        lr: peak learning rate, before lr_scaling.
        lr_scaling: multiply lr by (batch_size / 256) to the power 0, 1 or 1/2.
        exclude_norm_and_bias: no weight decay on normalisation layers and biases.
        lookahead_steps: k of Lookahead (Zhang et al. 2019, arXiv:1907.08610): every k steps, and
            at the end of each epoch, slow weights go lookahead_alpha of the way to the present
            ones, which then start again from there; null: no Lookahead.
        lookahead_alpha: how far the slow weights go, more than 0 and at most 1.
        implementation: torch's fused or foreach kernels; `auto`: fused where there is one. SGD
            in a CUDA graph is always fused.
    """

    name: str = "sgd"
    lr: float = 0.1
    lr_scaling: str = "none"
    exclude_norm_and_bias: bool = True
    lookahead_steps: Optional[int] = None
    lookahead_alpha: float = 0.5
    implementation: str = "auto"

    def __post_init__(self) -> None:
        require_number("optimizer.lr", self.lr, 0, open_low=True)
        require_one_of("optimizer.lr_scaling", self.lr_scaling, tuple(LR_POWERS))
        require_one_of("optimizer.implementation", self.implementation, IMPLEMENTATIONS)
        require_int("optimizer.lookahead_steps", self.lookahead_steps, 1, or_null=True)
        require_number("optimizer.lookahead_alpha", self.lookahead_alpha, 0, 1, open_low=True)

    def peak_lr(self, batch_size: int) -> float:
        """Return the learning rate after lr_scaling."""
        return float(self.lr * (batch_size / 256) ** LR_POWERS[self.lr_scaling])


@dataclass
class SgdConfig(OptimizerConfig):
    """Stochastic gradient descent with momentum (torch.optim.SGD).

    Args:
        momentum: part of the last update that is kept, from 0 to less than 1.
        nesterov: Nesterov's momentum; needs momentum above 0.
    """

    momentum: float = 0.9
    nesterov: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require_number("optimizer.momentum", self.momentum, 0, 1, open_high=True)
        ok = self.momentum > 0 or not self.nesterov
        require(ok, "optimizer.nesterov", self.nesterov, "needs optimizer.momentum above 0")


@dataclass
class AdamConfig(OptimizerConfig):
    """Adam (arXiv:1412.6980; torch.optim.Adam); weight decay is an L2 term of the gradient.

    Args:
        betas: decay of the two running means, of gradients and of their squares.
        eps: added to the denominator.
    """

    name: str = "adam"
    lr: float = 1e-3
    betas: list[float] = field(default_factory=lambda: [0.9, 0.999])
    eps: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_adam(self.betas, self.eps)


@dataclass
class AdamWConfig(AdamConfig):
    """Adam with decoupled weight decay (arXiv:1711.05101; torch.optim.AdamW)."""

    name: str = "adamw"


@dataclass
class RmspropConfig(OptimizerConfig):
    """RMSprop (torch.optim.RMSprop).

    Args:
        alpha: decay of the running mean of squared gradients.
        momentum: part of the last update that is kept, from 0 to less than 1.
        eps: added to the denominator.
    """

    name: str = "rmsprop"
    lr: float = 1e-3
    alpha: float = 0.99
    momentum: float = 0.9
    eps: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        require_number("optimizer.alpha", self.alpha, 0, 1, open_high=True)
        require_number("optimizer.momentum", self.momentum, 0, 1, open_high=True)
        require_number("optimizer.eps", self.eps, 0, open_low=True)
        ok = self.implementation != "fused"
        allowed = "must be auto or foreach: torch has no fused RMSprop"
        require(ok, "optimizer.implementation", self.implementation, allowed)


@dataclass
class MuonConfig(OptimizerConfig):
    """Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/).

    Momentum made orthogonal, for hidden kernels and matrices; classifier, norms and biases are
    left to another optimizer. Weight decay is decoupled, except in `others=sgd`.

    Args:
        lr: of the hidden layers.
        ns_steps: Newton-Schulz iterations.
        others: `adamw`, or `sgd` with the same momentum, for everything else.
        others_lr: its peak learning rate, scaled and scheduled as lr is.
        momentum: of the hidden layers, and of `others=sgd`.
        nesterov: Nesterov's momentum.
        betas, eps: of `others=adamw`.
    """

    name: str = "muon"
    lr: float = 0.02
    momentum: float = 0.95
    nesterov: bool = True
    ns_steps: int = 5
    others: str = "adamw"
    others_lr: float = 1e-3
    betas: list[float] = field(default_factory=lambda: [0.9, 0.999])
    eps: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        require_number("optimizer.momentum", self.momentum, 0, 1, open_low=True, open_high=True)
        require_int("optimizer.ns_steps", self.ns_steps, 1, 20)
        require_one_of("optimizer.others", self.others, ("adamw", "sgd"))
        require_number("optimizer.others_lr", self.others_lr, 0, open_low=True)
        _check_adam(self.betas, self.eps)
        allowed = "must be auto or foreach: there is no fused Muon"
        ok = self.implementation != "fused"
        require(ok, "optimizer.implementation", self.implementation, allowed)


def _check_adam(betas: list[float], eps: float) -> None:
    """Raise ConfigError unless these are betas and eps of Adam."""
    require(len(betas) == 2, "optimizer.betas", betas, "must be two numbers")
    for beta in betas:
        require_number("optimizer.betas", beta, 0, 1, open_high=True)
    require_number("optimizer.eps", eps, 0, open_low=True)


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
