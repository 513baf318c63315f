"""Schema of `optimizer=muon`."""

from __future__ import annotations

from dataclasses import dataclass, field

from resnet_sweep.config.errors import require, require_int, require_number, require_one_of
from resnet_sweep.config.optim import OptimizerConfig, check_adam


@dataclass
class MuonConfig(OptimizerConfig):
    """Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/).

    Momentum made orthogonal, for hidden kernels and matrices; classifier, norms and biases are
    left to another optimizer. Weight decay is decoupled, except in `others=sgd`.

    Args:
        lr: of the hidden layers.
        ns_steps: Newton-Schulz iterations.
        others: `adamw`, or `sgd` with this momentum, for everything else.
        others_lr: its peak learning rate, scaled and scheduled as lr is.
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
        check_adam(self.betas, self.eps)
        allowed = "must be auto or foreach: there is no fused Muon"
        ok = self.implementation != "fused"
        require(ok, "optimizer.implementation", self.implementation, allowed)
