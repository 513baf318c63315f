"""The budget: what passes, what is refused, and whether the advice holds."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from resnet_sweep.config import Config
from resnet_sweep.config.errors import ConfigError
from resnet_sweep.config.model import CustomModelConfig, ResNetConfig
from resnet_sweep.model.budget import Cost, check_budget
from resnet_sweep.model.plan import plan_resnet

USER_MODULE = """
from torch import nn

def net(num_classes):
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(8, num_classes),
    )
"""


def check(image_size: int = 32, **fields: Any) -> Cost:
    return check_budget(Config(model=ResNetConfig(**fields)), 10, image_size)


def refusal(**fields: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        check(**fields)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_network_within_the_budget_passes() -> None:
    assert check() == Cost(4_604_634, 183_421_440)
    assert check(max_params=4_604_634, max_multiply_adds=183_421_440).num_params == 4_604_634


def test_the_refusal_names_count_budget_and_what_fits() -> None:
    message = refusal(base_width=128, first_width=16)
    assert message == (
        "model.max_params=5000000: this net has 18,349,914 parameters, over the budget of "
        "5,000,000; the largest of this shape that fits: model.base_width=66 "
        "(4,816,874 parameters)"
    )


def test_multiply_adds_have_a_cap_of_their_own() -> None:
    message = refusal(max_multiply_adds=100_000_000)
    assert message.startswith(
        "model.max_multiply_adds=100000000: this net takes 183,421,440 multiply-adds an image, "
        "over the cap of 100,000,000; the largest of this shape that fits: model.widths=["
    )


def counted(config: ResNetConfig) -> tuple[int, int]:
    plan = plan_resnet(config, 10)
    return plan.num_params, plan.multiply_adds


def fits(config: ResNetConfig) -> bool:
    num_params, multiply_adds = counted(config)
    cap = config.max_multiply_adds or multiply_adds
    return num_params <= config.max_params and multiply_adds <= cap


@pytest.mark.parametrize(
    "fields",
    [
        {"base_width": 128, "max_params": 1_000_000},
        {"base_width": 100, "width_factor": 1.1, "shortcut": "pad", "max_params": 500_000},
        {"base_width": 40, "first_width": 16, "shortcut": "pad", "max_params": 1_000_000},
        {"base_width": 90, "first_width": 16, "strides": [1, 1, 1, 1], "shortcut_kernel_size": 3},
        {"base_width": 64, "stem_width": 16, "block": "preact", "squeeze_excitation": True},
        {"base_width": 64, "max_params": 10**7, "max_multiply_adds": 10**8},
    ],
)
def test_the_advice_is_the_largest_base_width(fields: dict[str, Any]) -> None:
    fields = {"max_params": 2_000_000, "blocks": [2, 2, 2, 2], **fields}
    message = refusal(**fields)
    found = re.search(r"that fits: model\.base_width=(\d+) \(([\d,]+) parameters", message)
    assert found is not None
    config = ResNetConfig(**fields)
    assert config.base_width is not None
    fitting = []
    for width in range(1, config.base_width):
        try:
            if fits(replace(config, base_width=width)):
                fitting.append(width)
        except ConfigError:  # pad shortcuts onto fewer channels
            continue
    assert int(found[1]) == max(fitting)
    count = counted(replace(config, base_width=max(fitting)))[0]
    assert found[2] == f"{count:,}"


def test_the_advice_scales_all_widths_in_proportion() -> None:
    message = refusal(widths=[64, 128, 256, 512])
    found = re.search(r"model\.widths=\[([\d,]+)\] \(([\d,]+) parameters\)", message)
    assert found is not None
    widths = [int(width) for width in found[1].split(",")]
    for width, full in zip(widths, [64, 128, 256, 512], strict=True):
        assert abs(width - full * widths[-1] / 512) <= 0.5
    advised = ResNetConfig(widths=widths)
    assert f"{counted(advised)[0]:,}" == found[2]
    assert fits(advised)
    next_last = widths[-1] + 1
    wider = [round(full * next_last / 512) for full in (64, 128, 256, 512)]
    assert not fits(ResNetConfig(widths=wider))


def test_where_nothing_fits_the_smallest_count_is_named() -> None:
    message = refusal(max_params=100)
    smallest = counted(ResNetConfig(widths=[1, 1, 1, 1]))[0]
    assert f"no width fits, not even model.widths=[1,1,1,1] ({smallest:,} parameters)" in message
    assert message.endswith("use fewer blocks")


def test_a_fixed_first_width_that_fills_the_budget_is_named() -> None:
    message = refusal(base_width=512, first_width=512, shortcut="pad", blocks=[9, 9, 9])
    assert "not even model.base_width=512" in message
    assert message.endswith("use fewer blocks or a smaller model.first_width")


def test_what_cannot_be_built_is_refused_as_such() -> None:
    with pytest.raises(ConfigError, match=r"model\.pool_size=9"):
        check(pool_size=9)
    with pytest.raises(ConfigError, match=r"model\.kernel_size=3"):
        check(image_size=4)


def test_custom_networks_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"counted_{abs(hash(tmp_path)):x}"
    (tmp_path / f"{name}.py").write_text(USER_MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    model = CustomModelConfig(target=f"{name}.net")
    want = Cost(3 * 8 * 9 + 8 + 16 + 8 * 10 + 10, 3 * 8 * 9 * 32 * 32 + 8 * 10)
    assert check_budget(Config(model=model), 10) == want
    with pytest.raises(ConfigError, match=r"has 330 parameters, over the budget of 329$"):
        check_budget(Config(model=replace(model, max_params=329)), 10)
    cap = replace(model, max_multiply_adds=1000)
    with pytest.raises(ConfigError, match="takes 221,264 multiply-adds an image"):
        check_budget(Config(model=cap), 10)


def test_a_target_without_a_hash_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"unhashable_{abs(hash(tmp_path)):x}"
    lines = ["class Maker(dict):", "    def __call__(self, num_classes):"]
    lines.append("        return net(num_classes)")
    (tmp_path / f"{name}.py").write_text("\n".join([USER_MODULE, *lines, "make = Maker()", ""]))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    made, plain = (CustomModelConfig(target=f"{name}.{each}") for each in ("make", "net"))
    assert check_budget(Config(model=made), 10) == check_budget(Config(model=plain), 10)


LATE = """
import torch
from torch import nn

class Late(nn.Module):
    def __init__(self, num_classes, kind):
        super().__init__()
        self.kind, self.head, self.seen = kind, nn.LazyLinear(num_classes), 0
        self.norm = nn.BatchNorm2d(3)

    def forward(self, x):
        if self.training and self.kind == "parameter":
            self.gain = nn.Parameter(torch.ones(1))
            x = x * self.gain
        if self.kind == "buffer":
            self.seen += 1
            self.register_buffer(f"seen_{self.seen}", torch.ones(1))
        return self.head(self.norm(x).flatten(1))
"""


@pytest.mark.parametrize(
    ("kind", "said"), [("parameter", "gain"), ("buffer", "seen_2"), ("lazy", None)]
)
def test_weights_that_come_while_it_trains_are_refused(
    kind: str, said: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No optimizer would have them, and the trained net could not be loaded."""
    name = f"late_{kind}_{abs(hash(tmp_path)):x}"
    (tmp_path / f"{name}.py").write_text(LATE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    config = Config(model=CustomModelConfig(target=f"{name}.Late", kwargs={"kind": kind}))
    if said is None:
        assert check_budget(config, 10).num_params == 3 * 32 * 32 * 10 + 10 + 6
        return
    with pytest.raises(ConfigError, match=f"must have all its weights before it trains; .*{said}"):
        check_budget(config, 10)


def test_a_custom_network_over_budget_is_never_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"huge_{abs(hash(tmp_path)):x}"
    source = "from torch import nn\n\ndef net(num_classes):\n    return nn.Conv2d(3, 200_000, 3)\n"
    (tmp_path / f"{name}.py").write_text(source)  # one image's output: 720 MB; no logits at all
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(ConfigError, match=r"has 5,600,000 parameters, over the budget of"):
        check_budget(Config(model=CustomModelConfig(target=f"{name}.net")), 10)
