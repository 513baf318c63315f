"""torch's own optimizers and Muon, built from the `optimizer` group."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from resnet_sweep.config.optimizer import (
    AdamConfig,
    AdamWConfig,
    MuonConfig,
    OptimizerConfig,
    RmspropConfig,
    SgdConfig,
)
from resnet_sweep.optim.muon import Muon, is_hidden


def build_optimizer(
    config: OptimizerConfig, model: nn.Module, weight_decay: float, capturable: bool = False
) -> torch.optim.Optimizer:
    """Return the optimizer over all parameters of `model`; its lr is set before each step.

    Args:
        capturable: keep lr and step counts on the device, for a CUDA graph.
    """
    groups = parameter_groups(model, weight_decay, config.exclude_norm_and_bias)
    device = next(model.parameters()).device
    lr: Any = torch.tensor(config.lr, device=device) if capturable else config.lr
    if isinstance(config, MuonConfig):
        return Muon(_split_hidden(groups, model), config, lr, capturable)
    options: dict[str, Any] = {"lr": lr, **_kernels(config, device, capturable)}
    if capturable and not isinstance(config, SgdConfig):
        options["capturable"] = True
    match config:
        case SgdConfig():
            sgd = torch.optim.SGD(
                groups, momentum=config.momentum, nesterov=config.nesterov, **options
            )
            _start_momentum(sgd)
            return sgd
        case AdamConfig():
            kind = torch.optim.AdamW if isinstance(config, AdamWConfig) else torch.optim.Adam
            first, second = config.betas
            return kind(groups, betas=(first, second), eps=config.eps, **options)
        case RmspropConfig():
            return torch.optim.RMSprop(
                groups, alpha=config.alpha, momentum=config.momentum, eps=config.eps, **options
            )
    raise AssertionError(f"no optimizer for {config}")


def _start_momentum(sgd: torch.optim.SGD) -> None:
    """Start the momentum at zero, which gives torch's own first step.

    torch's fused kernel takes uninitialised memory and fills it in the first step; where fp16's
    gradient scaler skips that one, what lay in the memory would be the momentum of the next.
    """
    for group in sgd.param_groups:
        if group["momentum"]:
            for parameter in group["params"]:
                sgd.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)


def parameter_groups(
    model: nn.Module, weight_decay: float, exclude_norm_and_bias: bool
) -> list[dict[str, Any]]:
    """Return the decayed parameters and, apart where asked for, norms and biases undecayed."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    if not exclude_norm_and_bias:
        return [{"params": parameters, "weight_decay": weight_decay}]
    # Norm weights and all biases are the parameters of fewer than two dimensions.
    decayed = [p for p in parameters if p.ndim >= 2]
    others = [p for p in parameters if p.ndim < 2]
    groups = [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def _split_hidden(groups: list[dict[str, Any]], model: nn.Module) -> list[dict[str, Any]]:
    """Divide each group into what Muon takes and what it leaves."""
    hidden = is_hidden(model)
    split = [
        {**group, "hidden": kind, "params": [p for p in group["params"] if hidden[p] == kind]}
        for group in groups
        for kind in (True, False)
    ]
    return [group for group in split if group["params"]]


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of every group, in place where it lives on the device."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], torch.Tensor):
            group["lr"].fill_(lr)
        else:
            group["lr"] = lr


def _kernels(config: OptimizerConfig, device: torch.device, capturable: bool) -> dict[str, bool]:
    """Return torch's `fused` or `foreach` option."""
    has_fused = not isinstance(config, RmspropConfig) and device.type in ("cpu", "cuda", "mps")
    fused = config.implementation == "fused" or (config.implementation == "auto" and has_fused)
    # torch's foreach SGD reads the learning rate back from the device, which no graph can hold.
    fused = fused or (capturable and isinstance(config, SgdConfig))
    return {"fused": True} if fused else {"foreach": True}
