"""Run folders with what predicting and exporting need, without training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from conftest import make_tiny_config
from torch import nn

from resnet_sweep.config import Config
from resnet_sweep.config.compose import to_dict
from resnet_sweep.config.model import ModelConfig
from resnet_sweep.model.build import build_model
from resnet_sweep.records.checkpoint import write_model

DIGITS = [str(digit) for digit in range(10)]


def make_run(
    run_dir: Path, model: ModelConfig | None = None, seed: int = 0, **content: Any
) -> Config:
    """Write a model.pt of random weights and batch statistics; digits are its data."""
    config = make_tiny_config()
    if model is not None:
        config = replace(config, model=model)
    torch.manual_seed(seed)
    net = build_model(config, 10, 32)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)  # type: ignore[union-attr,operator]
            module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr,operator]
            nn.init.normal_(module.weight, 1, 0.3)
            nn.init.normal_(module.bias, 0, 0.3)
    values = {
        "config": to_dict(config),
        "class_names": DIGITS,
        "image_size": 32,
        "mean": torch.tensor([0.3, 0.4, 0.5]),
        "std": torch.tensor([0.2, 0.25, 0.3]),
        "state_dict": net.state_dict(),
    }
    run_dir.mkdir(parents=True)
    write_model(run_dir, {**values, **content})
    return config
