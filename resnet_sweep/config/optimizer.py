"""Schemas of the `optimizer` group."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional

from resnet_sweep.config.errors import require, require_int, require_number, require_one_of

LR_POWERS = {"none": 0.0, "linear": 1.0, "sqrt": 0.5}  # of batch_size / 256, by lr_scaling
IMPLEMENTATIONS = ("auto", "fused", "foreach")


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
