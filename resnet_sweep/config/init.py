"""Schema of the `init` group."""

from __future__ import annotations

from dataclasses import dataclass

from resnet_sweep.config.errors import require_number, require_one_of

INITS = (
    "kaiming_normal",
    "kaiming_uniform",
    "xavier_normal",
    "xavier_uniform",
    "orthogonal",
    "normal",
    "dirac",
)


@dataclass
class InitConfig:
    """How the weights of convolutions and of the classifier start.

    Args:
        name: scheme, as in torch.nn.init. `dirac`: convolutions pass their input channels on
            through their first filters (Zagoruyko and Komodakis 2017, arXiv:1706.00388; as a
            partial identity, Jordan 2024, arXiv:2404.00498, section 3.2); further filters and
            linear layers take kaiming_normal.
        std: standard deviation; of `normal` alone.
        zero_init_residual: start the last normalisation of each block at zero, so that each
            block starts as its shortcut (Goyal et al. 2017, arXiv:1706.02677, section 5.1).
    """

    name: str = "kaiming_normal"
    std: float = 0.01
    zero_init_residual: bool = False

    def __post_init__(self) -> None:
        require_one_of("init.name", self.name, INITS)
        require_number("init.std", self.std, 0, open_low=True)
