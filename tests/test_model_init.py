"""Initial weights against torch.nn.init drawn from the same seed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import init

from resnet_sweep.config.init import INITS, InitConfig
from resnet_sweep.config.model import BLOCKS, ResNetConfig
from resnet_sweep.model.init import initialize
from resnet_sweep.model.resnet import ResidualBlock, ResNet


def small(block: str = "basic") -> ResNet:
    config = ResNetConfig(
        blocks=[1, 1], widths=[8, 16], block=block, squeeze_excitation=True, squeeze_ratio=4
    )
    return ResNet(config, 10)


def weight_layers(net: nn.Module) -> list[nn.Conv2d | nn.Linear]:
    return [module for module in net.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]


def kaiming(fill: Callable[..., Tensor]) -> Callable[[Tensor], Tensor]:
    """Convolutions as torchvision's ResNet; linear layers keep the variance of their input."""

    def filled(weight: Tensor) -> Tensor:
        if weight.ndim == 4:
            return fill(weight, mode="fan_out", nonlinearity="relu")
        return fill(weight, mode="fan_in", nonlinearity="linear")

    return filled


def partial_identity(weight: Tensor) -> Tensor:
    """dirac_ on as many filters as there are input channels."""
    filled = kaiming(init.kaiming_normal_)(weight)
    if weight.ndim == 4:
        inputs = weight.shape[1]
        filled[:inputs] = init.dirac_(torch.empty_like(weight[:inputs]))
    return filled


REFERENCES: dict[str, Callable[[Tensor], Tensor]] = {
    "kaiming_normal": kaiming(init.kaiming_normal_),
    "kaiming_uniform": kaiming(init.kaiming_uniform_),
    "xavier_normal": init.xavier_normal_,
    "xavier_uniform": init.xavier_uniform_,
    "orthogonal": init.orthogonal_,
    "normal": lambda weight: init.normal_(weight, std=0.02),
    "dirac": partial_identity,
}


@pytest.mark.parametrize("name", INITS)
def test_schemes_equal_torch(name: str) -> None:
    net = small()
    torch.manual_seed(3)
    initialize(net, InitConfig(name=name, std=0.02))
    torch.manual_seed(3)
    for layer in weight_layers(net):
        assert torch.equal(layer.weight, REFERENCES[name](torch.empty_like(layer.weight)))


@pytest.mark.parametrize(("inputs", "outputs"), [(4, 4), (6, 4), (4, 6)])
def test_a_dirac_convolution_passes_its_input_on(inputs: int, outputs: int) -> None:
    conv = nn.Conv2d(inputs, outputs, 5, padding=2, bias=False)
    initialize(nn.Sequential(conv), InitConfig(name="dirac"))
    x = torch.randn(2, inputs, 8, 8)
    kept = min(inputs, outputs)
    torch.testing.assert_close(conv(x)[:, :kept], x[:, :kept])
    if outputs <= inputs:
        assert torch.equal(conv.weight, init.dirac_(torch.empty_like(conv.weight)))
    assert conv.weight.flatten(1).abs().sum(1).min() > 0


def test_kaiming_normal_keeps_the_scale_of_torchvision() -> None:
    conv, linear = nn.Conv2d(16, 32, 3), nn.Linear(400, 300)
    initialize(nn.Sequential(conv, linear), InitConfig())
    assert conv.weight.std().item() == pytest.approx((2 / (32 * 9)) ** 0.5, rel=0.05)
    assert linear.weight.std().item() == pytest.approx(400**-0.5, rel=0.05)


def test_biases_and_norms() -> None:
    net = small()
    for parameter in net.parameters():
        nn.init.normal_(parameter)
    initialize(net, InitConfig())
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all()
        if isinstance(module, (nn.BatchNorm2d, nn.Linear)):
            assert (module.bias == 0).all()


@pytest.mark.parametrize("block", BLOCKS)
def test_zero_init_residual_makes_each_block_its_shortcut(block: str) -> None:
    net = small(block)
    initialize(net, InitConfig(zero_init_residual=True))
    first, second = (module for module in net.modules() if isinstance(module, ResidualBlock))
    x = torch.rand(2, 8, 4, 4)
    torch.testing.assert_close(first(x), x)
    zeroed = [module for module in net.modules() if is_zero(module)]
    assert zeroed == [first.last_layer, second.last_layer]


def is_zero(module: nn.Module) -> bool:
    weight = getattr(module, "weight", None)
    return isinstance(weight, Tensor) and not weight.any()
