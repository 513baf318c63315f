"""Building a network from the configuration, the user's own networks among them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from resnet_sweep.config import Config
from resnet_sweep.config.errors import ConfigError
from resnet_sweep.config.init import InitConfig
from resnet_sweep.config.model import CustomModelConfig, ResNetConfig
from resnet_sweep.config.regularization import RegularizationConfig
from resnet_sweep.model.build import build_model
from resnet_sweep.model.init import initialize
from resnet_sweep.model.resnet import ResNet

USER_MODULE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes, width=4):
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.linear = nn.Linear(3, num_classes)
        nn.init.constant_(self.linear.weight, width)

    def forward(self, x):
        return self.linear(self.norm(x).mean((2, 3)))

def sequential(num_classes):
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, num_classes))

def not_a_module(num_classes):
    return 3

def wrong_classes(num_classes):
    return sequential(num_classes + 1)

def forward_fails(num_classes):
    return nn.Linear(5, num_classes)

class Pair(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        return x, x

class Fixed(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.num_classes = num_classes

    def forward(self, x):
        return x.new_zeros(len(x), self.num_classes)

def leaves(num_classes):
    raise SystemExit(0)

def raises(num_classes):
    raise RuntimeError("first line\\nsecond line")
"""


@pytest.fixture
def user_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the name of a package module in the current directory, which is not on sys.path."""
    package = f"package_{abs(hash(tmp_path)):x}"
    (tmp_path / package).mkdir()
    (tmp_path / package / "nets.py").write_text(USER_MODULE)
    (tmp_path / package / "broken.py").write_text("import torch\ntorch.no_such_thing\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry not in ("", ".")])
    return f"{package}.nets"


def build(target: str, num_classes: int = 5, **kwargs: Any) -> nn.Module:
    config = Config(model=CustomModelConfig(target=target, kwargs=kwargs))
    return build_model(config, num_classes, image_size=32)


def test_a_resnet_is_built_and_initialised() -> None:
    model = ResNetConfig(blocks=[1, 1], widths=[4, 8], pool_size=2)
    rates = RegularizationConfig(dropout=0.2, stochastic_depth=0.3)
    init = InitConfig(name="orthogonal")
    config = Config(model=model, regularization=rates, init=init)
    torch.manual_seed(1)
    net = build_model(config, 5, image_size=8)
    torch.manual_seed(1)
    want = ResNet(model, 5, dropout=0.2, stochastic_depth=0.3, image_size=8)
    initialize(want, init)
    assert repr(net) == repr(want)
    torch.testing.assert_close(net.state_dict(), want.state_dict())


def test_a_custom_network_comes_from_the_current_directory(user_module: str) -> None:
    net = build(f"{user_module}.Net", width=7)
    assert net(torch.zeros(1, 3, 32, 32)).shape == (1, 5)
    assert net.get_parameter("linear.weight").eq(7).all()


def test_trying_a_custom_network_leaves_no_trace(user_module: str) -> None:
    state = torch.get_rng_state()
    net = build(f"{user_module}.Net")
    assert net.training
    norm = net.get_submodule("norm")
    assert norm.training
    assert norm.num_batches_tracked == 0
    nn.Linear(3, 5)  # what the constructor draws
    drawn = torch.get_rng_state()
    torch.set_rng_state(state)
    build(f"{user_module}.Net")
    nn.Linear(3, 5)
    assert torch.equal(torch.get_rng_state(), drawn)


def test_a_function_may_be_the_target(user_module: str) -> None:
    assert isinstance(build(f"{user_module}.sequential"), nn.Sequential)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing", "has no missing"),
        ("leaves", "calling it with num_classes=5 and model.kwargs={} failed: SystemExit: 0"),
        ("not_a_module", "must give a torch.nn.Module, but gave int"),
        (
            "wrong_classes",
            r"must give logits \[2, 5\] for images \[2, 3, 32, 32\], but gave \[2, 6\]",
        ),
        ("forward_fails", r"its forward pass on images \[2, 3, 32, 32\] failed: RuntimeError"),
        ("Pair", "but gave tuple"),
        ("Fixed", "has no parameters to train"),
        ("raises", "failed: RuntimeError: first line"),
    ],
)
def test_a_target_that_does_not_work_is_refused(user_module: str, name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        build(f"{user_module}.{name}")
    assert str(caught.value).startswith(f"model.target={user_module}.{name}: ")
    assert "\n" not in str(caught.value)


def test_wrong_constructor_arguments_are_refused(user_module: str) -> None:
    with pytest.raises(ConfigError, match=r"model\.kwargs=\{'depth': 3\} failed: TypeError.*depth"):
        build(f"{user_module}.Net", depth=3)


# An old copy of six, which some package brings along, lacks a method that imports ask for.
@pytest.mark.filterwarnings("ignore:.*find_spec:ImportWarning")
@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("no_such_package.nets", "ModuleNotFoundError: No module named 'no_such_package'"),
        ("broken", "AttributeError: module 'torch' has no attribute 'no_such_thing'"),
    ],
)
def test_a_module_that_does_not_import_is_refused(
    user_module: str, module: str, message: str
) -> None:
    package = user_module.removesuffix(".nets")
    target = f"{module if '.' in module else f'{package}.{module}'}.Net"
    with pytest.raises(ConfigError, match=message) as caught:
        build(target)
    assert str(caught.value).startswith(f"model.target={target}: importing ")
