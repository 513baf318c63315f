"""The plan of a ResNet against published counts and against the network that torch builds."""

from __future__ import annotations

import random
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from resnet_sweep.config.errors import ConfigError
from resnet_sweep.config.model import ResNetConfig
from resnet_sweep.model.plan import ModelPlan, plan_resnet
from resnet_sweep.model.resnet import ResNet

RESNET20 = {"blocks": [3, 3, 3], "widths": [16, 32, 64], "shortcut": "pad"}
WRN_16_4 = {"blocks": [2, 2, 2], "widths": [64, 128, 256], "stem_width": 16, "block": "preact"}
S1122 = {"strides": [1, 1, 2, 2]}


def plan(num_classes: int = 10, image_size: int = 32, **fields: Any) -> ModelPlan:
    return plan_resnet(ResNetConfig(**fields), num_classes, image_size)


@pytest.mark.parametrize(
    ("fields", "num_params"),
    [
        ({}, 4_604_634),
        ({"shortcut": "pad"}, 4_561_754),
        ({"shortcut_kernel_size": 3}, 4_940_506),
        ({"base_width": 64, "first_width": 16}, 4_604_634),
        (RESNET20, 269_722),
        (WRN_16_4, 2_748_890),
        # 27 fixed filters of 27 weights and 27 * 16 in place of the stem's.
        ({"whitened_stem": True}, 4_604_634 + 27 * 27),
    ],
)
def test_published_parameter_counts(fields: dict[str, Any], num_params: int) -> None:
    assert plan(**fields).num_params == num_params


def pyramid_params(widths: list[int], blocks: list[int]) -> int:
    """Han et al. 2017, figure 6d, layer by layer, with zero-padded shortcuts."""
    total, inputs = 3 * 9 * widths[0] + 2 * widths[0], widths[0]
    for width, count in zip(widths, blocks, strict=True):
        for _ in range(count):
            norms = 2 * inputs + 2 * width + 2 * width
            total += norms + 9 * inputs * width + 9 * width * width
            inputs = width
    return total + 2 * inputs + 10 * inputs + 10


def test_pyramid_blocks_are_counted() -> None:
    widths, blocks = [16, 64, 128, 256], [2, 3, 4, 3]
    planned = plan(block="pyramid", shortcut="pad", widths=widths, blocks=blocks)
    assert planned.num_params == pyramid_params(widths, blocks)


@pytest.mark.parametrize(
    ("widths", "num_params"), [([32, 48, 64], 1_772_706), ([44, 72, 100], 3_904_446)]
)
def test_additive_widths_are_those_of_pyramidnet_110(widths: list[int], num_params: int) -> None:
    """alpha=48 and alpha=84, as osmr/pytorchcv counts them."""
    fields = {"block": "pyramid", "shortcut": "pad", "stem_width": 16, "blocks": [18, 18, 18]}
    planned = plan(widths=widths, additive_widths=True, **fields)
    assert planned.num_params == num_params
    assert [stage.width for stage in planned.stages] == widths


@pytest.mark.parametrize(("fields", "millions"), [({}, 183), (S1122, 704)])
def test_published_multiply_adds(fields: dict[str, Any], millions: int) -> None:
    assert round(plan(**fields).multiply_adds / 1e6) == millions


def random_case(seed: int) -> tuple[ResNetConfig, int, int]:
    """Return a configuration (that may not be buildable), classes and image size."""
    draw = random.Random(seed)
    stages = draw.randint(1, 4)
    width: dict[str, Any] = draw.choice(
        [{"widths": [draw.randint(1, 24) for _ in range(stages)]}, {}]
    )
    width = width or {
        "base_width": draw.randint(4, 16),
        "width_factor": draw.choice([1.0, 1.5, 2.0]),
        "first_width": draw.choice([None, 4]),
    }
    config = ResNetConfig(
        **width,
        blocks=[draw.randint(1, 3) for _ in range(stages)],
        stem_width=draw.choice([None, 3, 8]),
        additive_widths=draw.choice([True, False]),
        stem_kernel_size=draw.choice([1, 3, 5]),
        whitened_stem=draw.choice([True, False]),
        kernel_size=draw.choice([3, 5, [draw.choice([1, 3, 5]) for _ in range(stages)]]),
        shortcut_kernel_size=draw.choice([1, 3, 5]),
        strides=draw.choice([None, [draw.randint(1, 3) for _ in range(stages)]]),
        pool_size=draw.choice([None, 1, 2, 3]),
        block=draw.choice(["basic", "preact", "pyramid"]),
        shortcut=draw.choice(["conv", "conv", "pad", "none"]),
        downsampling=draw.choice(["stride", "max_pool"]),
        squeeze_excitation=draw.choice([True, False]),
        squeeze_ratio=draw.choice([2, 16]),
    )
    return config, draw.choice([2, 10]), draw.choice([16, 28, 32])


def buildable_cases(count: int) -> list[tuple[ResNetConfig, int, int]]:
    cases: list[tuple[ResNetConfig, int, int]] = []
    for seed in range(4 * count):
        try:
            plan_resnet(*random_case(seed))
        except ConfigError:
            continue
        cases.append(random_case(seed))
    assert len(cases) >= count
    return cases[:count]


@pytest.mark.slow
@pytest.mark.parametrize("case", buildable_cases(48))
def test_the_plan_is_the_network(case: tuple[ResNetConfig, int, int]) -> None:
    """Names, parameters, shapes and multiply-adds, on torch's meta device."""
    config, num_classes, image_size = case
    outputs: dict[str, Tensor] = {}
    with torch.device("meta"):
        net = ResNet(config, num_classes, image_size=image_size).eval()
        for name, module in net.named_modules():
            module.register_forward_hook(lambda m, x, y, name=name: outputs.update({name: y}))
        with FlopCounterMode(display=False) as counter:
            assert net(torch.empty(1, 3, image_size, image_size)).shape == (1, num_classes)
    planned = plan_resnet(config, num_classes, image_size)
    assert planned.num_params == sum(p.numel() for p in net.parameters())
    assert planned.multiply_adds == counter.get_total_flops() // 2
    with_params = {name.rpartition(".")[0] for name, _ in net.named_parameters()}
    assert {x.name for x in planned.layers if x.kind != "pool"} == with_params
    for layer in planned.layers:
        module, output = net.get_submodule(layer.name), outputs[layer.name]
        assert layer.num_params == sum(p.numel() for p in module.parameters())
        assert (layer.out_channels, layer.map_size) == (output.shape[1], (*output.shape, 1)[2])
        if isinstance(module, nn.Conv2d):
            assert layer.in_channels == module.in_channels
            assert (layer.kernel_size, layer.stride) == (module.kernel_size[0], module.stride[0])


def test_stages_add_up() -> None:
    planned = plan()
    assert [stage.map_size for stage in planned.stages] == [32, 16, 8, 4]
    assert [stage.width for stage in planned.stages] == [16, 64, 128, 256]
    ends = sum(layer.num_params for layer in (*planned.stem, *planned.head))
    assert (
        sum(x.num_params for stage in planned.stages for x in stage.layers) + ends
        == planned.num_params
    )


THREE = {"blocks": [1, 1, 1], "widths": [8, 8, 8]}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"pool_size": 5}, "model.pool_size=5: must be at most 4, the side of the last feature"),
        (
            {**THREE, "strides": [4, 4, 4]},
            r"model.strides=\[4, 4, 4\]: stage 3 gets a 2x2 map, so its stride must be at most 2",
        ),
        (
            {"blocks": [1] * 6, "widths": [8] * 6},
            "model.kernel_size=3: must be at most 1 where stage 6 works on a 1x1 map",
        ),
        (
            {**THREE, "kernel_size": [3, 33, 3]},
            r"model.kernel_size=\[3, 33, 3\]: must be at most 31 where stage 2 works on a 16x16",
        ),
        (
            {**THREE, "shortcut_kernel_size": 33},
            "model.shortcut_kernel_size=33: must be at most 31 where the shortcut of stage 3",
        ),
        ({"stem_kernel_size": 65}, "model.stem_kernel_size=65: must be at most 63 where the stem"),
        (
            {"stem_kernel_size": 33, "whitened_stem": True},
            "model.stem_kernel_size=33: must be at most 32 with model.whitened_stem",
        ),
        (
            {"blocks": [1, 1], "widths": [16, 8], "shortcut": "pad"},
            "model.shortcut=pad: cannot drop channels, but stage 2 goes from 16 to 8 channels",
        ),
    ],
)
def test_what_cannot_be_built_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        plan(**fields)
    assert "\n" not in str(caught.value)


def test_a_kernel_of_3_fits_a_map_of_2() -> None:
    assert plan(blocks=[1] * 5, widths=[8] * 5).stages[-1].map_size == 2


def test_a_large_shortcut_kernel_is_fine_where_no_shortcut_uses_it() -> None:
    assert plan(blocks=[1], widths=[8], shortcut_kernel_size=99).num_params > 0


@pytest.mark.parametrize("module", ["plan", "budget"])
def test_no_torch_is_imported(module: str) -> None:
    code = f"import sys, resnet_sweep.model.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
