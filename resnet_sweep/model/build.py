"""From the configuration to the network."""

from __future__ import annotations

from typing import NoReturn

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from resnet_sweep.config import Config
from resnet_sweep.config.errors import ConfigError
from resnet_sweep.config.model import CustomModelConfig, ResNetConfig
from resnet_sweep.model.init import initialize
from resnet_sweep.model.layers import use_ghost_norm
from resnet_sweep.model.resnet import ResNet
from resnet_sweep.model.summary import evaluation_mode
from resnet_sweep.system.importing import import_dotted


class OverBudget(ConfigError):
    """A custom network whose parameters alone are over the budget: it was not run."""

    def __init__(self, config: CustomModelConfig, num_params: int) -> None:
        problem = f"must be at least {num_params:,}, the parameters of {config.target}"
        super().__init__("model.max_params", config.max_params, problem)
        self.num_params = num_params


def build_model(config: Config, num_classes: int, image_size: int) -> nn.Module:
    """Return the network, on the CPU, its weights drawn from torch's global generator.

    With regularization.ghost_batch_size its batch normalisation works on parts of a batch. A
    custom network keeps the weights that its constructor gave it, and is tried on a batch of
    two images.

    Raises:
        ConfigError: the network cannot be built, or does not give logits [N, num_classes].
        OverBudget: a custom network has more than model.max_params.
    """
    model, settings = config.model, config.regularization
    net: nn.Module
    if isinstance(model, ResNetConfig):
        rates = (settings.dropout, settings.stochastic_depth)
        net = ResNet(model, num_classes, *rates, image_size=image_size)
        initialize(net, config.init)
    else:
        assert isinstance(model, CustomModelConfig)
        net = _build_custom(model, num_classes, image_size)
    if settings.ghost_batch_size is not None:
        use_ghost_norm(net, settings.ghost_batch_size)
    return net


def _build_custom(config: CustomModelConfig, num_classes: int, image_size: int) -> nn.Module:
    assert config.target is not None
    target = import_dotted(config.target, "model.target")
    try:
        net = target(num_classes=num_classes, **config.kwargs)
    except (Exception, SystemExit) as error:
        call = f"num_classes={num_classes} and model.kwargs={config.kwargs}"
        _refuse(config, f"calling it with {call} failed", error)
    if not isinstance(net, nn.Module):
        _refuse(config, f"must give a torch.nn.Module, but gave {type(net).__name__}")
    num_params = sum(p.numel() for p in net.parameters() if not is_lazy(p))
    if num_params > config.max_params:  # a pass of it may take minutes and all memory
        raise OverBudget(config, num_params)
    images = torch.zeros(2, 3, image_size, image_size)
    try:
        with evaluation_mode(net), torch.no_grad():
            logits = net(images)
    except (Exception, SystemExit) as error:
        _refuse(config, f"its forward pass on images {list(images.shape)} failed", error)
    shape = list(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
    if shape != [2, num_classes]:
        want = f"must give logits [2, {num_classes}] for images {list(images.shape)}"
        _refuse(config, f"{want}, but gave {shape}")
    if not any(parameter.requires_grad for parameter in net.parameters()):
        _refuse(config, "has no parameters to train")
    return net


def check_trains(config: CustomModelConfig, net: nn.Module, labels: Tensor, size: int) -> None:
    """Try a custom network's training pass; its weights and statistics are spoilt.

    Raises:
        ConfigError: the pass forward or backward fails, or makes weights that no optimizer has.
    """
    images = torch.zeros(len(labels), 3, size, size)
    net.train()
    before, names = dict(net.named_parameters()), set(net.state_dict())
    try:
        nn.functional.cross_entropy(net(images), labels).backward()
    except (Exception, SystemExit) as error:
        _refuse(config, "its training pass failed", error)
    after = dict(net.named_parameters())
    made = [name for name, parameter in after.items() if parameter is not before.get(name)]
    made += sorted((set(net.state_dict()) ^ names) - set(made))
    if made:
        _refuse(config, f"must have all its weights before it trains; its pass changes {made[0]}")


def _refuse(
    config: CustomModelConfig, problem: str, cause: BaseException | None = None
) -> NoReturn:
    """Raise ConfigError in one line, whatever the cause's own message looks like."""
    if cause is not None:
        first_line = str(cause).strip().split("\n")[0]
        problem = f"{problem}: {type(cause).__name__}: {first_line}"
    raise ConfigError("model.target", config.target, problem) from cause
