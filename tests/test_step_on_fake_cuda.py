"""The step on CUDA tensors without numbers: nothing waits for the device, or leaves it.

torch's fake tensors have shapes, types and devices, so that a machine without a GPU sees what a
GPU's step mixes up or reads back. The backward pass needs a driver: gradients are given instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from conftest import make_tiny_config
from test_graph_replay import RECIPES
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from resnet_sweep.config import Config
from resnet_sweep.data.augmentation import spaces
from resnet_sweep.data.device import DeviceData, Part
from resnet_sweep.model.build import build_model
from resnet_sweep.optim.optimizer import build_optimizer
from resnet_sweep.training import loop as training
from resnet_sweep.training.device import Execution
from resnet_sweep.training.step import TrainStep

CUDA = torch.device("cuda", 0)
pytestmark = [
    pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor"),
    pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU tells it itself"),
]
FAKED = {name: each for name, each in RECIPES.items() if "teacher" not in name}


class NoFused(TorchDispatchMode):
    """Leaves out fused optimizers, which work in place and have no fake form."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        is_fused = func.name().startswith("aten::_fused_")
        return None if is_fused else func(*args, **(kwargs or {}))


class StaysOnDevice(TorchDispatchMode):
    """Refuses a tensor beside the device; a number that an operation takes is passed with it."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves((args, kwargs, out)):
            on_host = isinstance(leaf, Tensor) and leaf.device.type == "cpu"
            assert not on_host or (leaf.dim() == 0 and "copy" not in func.name()), func.name()
        return out


@pytest.fixture
def fake_cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(nn.Module, "to", lambda self, *_, **__: self)  # is built there
    monkeypatch.setattr(spaces, "magnitudes", lambda _name, _space, bins: [0.0] * bins)
    with FakeTensorMode(), CUDA, NoFused():
        yield


def build_on_device(*arguments: Any, capturable: bool) -> torch.optim.Optimizer:
    with pytest.MonkeyPatch.context() as patch:  # torch looks at the rate once, when it is given
        patch.setattr(torch, "tensor", lambda value, device: value)
        optimizer = build_optimizer(*arguments, capturable=capturable)
    for group in optimizer.param_groups:
        group["lr"] = torch.zeros(())
    return optimizer


def make_step(config: Config, monkeypatch: pytest.MonkeyPatch) -> TrainStep:
    images = torch.randint(0, 256, (80, 3, 32, 32), dtype=torch.uint8)
    part = Part(images, torch.zeros(80, dtype=torch.int64))
    names = tuple(map(str, range(10)))
    data = DeviceData(part, part, None, np.arange(0), torch.rand(3), torch.rand(3), names, "")
    execution = Execution(CUDA, torch.float32, "graph", True)
    with monkeypatch.context() as patch:
        patch.setattr(training, "build_optimizer", build_on_device)
        # A copy of a fake tensor would bring a copy of its mode.
        patch.setattr("copy.deepcopy", lambda _: build_model(config, 10, 32))
        step = training.build_step(config, data, execution)

    def backward(loss: Tensor) -> None:
        for parameter in step.parameters:
            parameter.grad = torch.empty_like(parameter)

    assert step.parameters
    monkeypatch.setattr(Tensor, "backward", backward)
    return step


@pytest.mark.slow
@pytest.mark.usefixtures("fake_cuda")
@pytest.mark.parametrize("recipe", FAKED)
def test_nothing_waits_for_the_device(recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    step = make_step(replace(make_tiny_config(), **FAKED[recipe]), monkeypatch)
    indices = torch.arange(64)
    step(indices, 0.1, 0)  # tables and states come to be
    with StaysOnDevice():
        step(indices, 0.1, 1)


@pytest.mark.usefixtures("fake_cuda")
def test_waiting_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    step = make_step(make_tiny_config(), monkeypatch)
    step(torch.arange(64), 0.1, 0)
    with pytest.raises(DataDependentOutputException):
        step.loss_sum.item()
    with pytest.raises(AssertionError), StaysOnDevice():
        torch.zeros(3, device="cpu").to(CUDA)
