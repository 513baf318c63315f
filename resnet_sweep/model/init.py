"""How the weights of a ResNet start."""

from __future__ import annotations

from typing import Literal

from torch import nn

from resnet_sweep.config.model import InitConfig
from resnet_sweep.model.resnet import ResidualBlock


def initialize(model: nn.Module, config: InitConfig) -> None:
    """Set all weights from torch's global generator, in the order of model.modules().

    Biases start at zero, normalisation at one and zero. Convolutions take the kaiming schemes
    with fan_out and the gain of ReLU, as torchvision's ResNet does (He et al. 2015,
    arXiv:1502.01852); linear layers with fan_in and gain 1, since no ReLU follows the
    classifier and its few outputs would make fan_out's logits large. `dirac` passes on each
    input channel through a filter of its own and leaves the rest to kaiming_normal. The other
    schemes are torch.nn.init's with their defaults.

    With zero_init_residual the last normalisation of each block starts at zero. A `preact`
    block ends in a convolution instead, whose weights then start at zero.
    """
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            _set_weight(module, config)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
    if config.zero_init_residual:
        _zero_last_layers(model)


def _set_weight(layer: nn.Conv2d | nn.Linear, config: InitConfig) -> None:
    weight = layer.weight
    mode: Literal["fan_in", "fan_out"] = "fan_out"
    gain: Literal["linear", "relu"] = "relu"
    if isinstance(layer, nn.Linear):
        mode, gain = "fan_in", "linear"
    match config.name:
        case "kaiming_normal" | "dirac":
            nn.init.kaiming_normal_(weight, mode=mode, nonlinearity=gain)
        case "kaiming_uniform":
            nn.init.kaiming_uniform_(weight, mode=mode, nonlinearity=gain)
        case "xavier_normal":
            nn.init.xavier_normal_(weight)
        case "xavier_uniform":
            nn.init.xavier_uniform_(weight)
        case "orthogonal":
            nn.init.orthogonal_(weight)
        case "normal":
            nn.init.normal_(weight, std=config.std)
    if config.name == "dirac" and isinstance(layer, nn.Conv2d):
        # All filters beyond the first would be zeros, and their channels constant.
        nn.init.dirac_(weight[: weight.shape[1]])


def _zero_last_layers(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, ResidualBlock):
            nn.init.zeros_(module.last_layer.weight)
