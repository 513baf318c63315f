"""The table of layers: exact counts for any network, and no trace of the measurement."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from resnet_sweep.config.model import ResNetConfig
from resnet_sweep.model.plan import plan_resnet
from resnet_sweep.model.resnet import ResNet
from resnet_sweep.model.summary import ELSEWHERE, measure_layers, write_architecture_text


class Odd(nn.Module):
    """What a user may write: parameters outside layers, a layer used twice, one never used."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3, 1, 1))
        self.twice = nn.Conv2d(3, 3, 1)
        self.unused = nn.Linear(7, 7)
        self.weight = nn.Parameter(torch.ones(3, 5))

    def forward(self, x: Tensor) -> Tensor:
        x = self.twice(self.twice(x * self.scale))
        return x.mean((2, 3)) @ self.weight


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        tokens = torch.zeros(len(x), 6, 4)
        out: Tensor = self.attention(tokens, tokens, tokens)[0]
        return out


@pytest.mark.parametrize("block", ["basic", "preact"])
def test_layers_equal_the_plan(block: str) -> None:
    config = ResNetConfig(blocks=[1, 2], widths=[4, 8], block=block, squeeze_excitation=True)
    layers = {x.name: x for x in measure_layers(ResNet(config, 3), 32)}
    for planned in plan_resnet(config, 3).layers:
        measured = layers[planned.name]
        assert measured.num_params == planned.num_params
        assert measured.multiply_adds == planned.multiply_adds
        assert (*measured.output_shape, 1)[:2] == (planned.out_channels, planned.map_size)
    assert ELSEWHERE not in layers


def test_what_lies_outside_the_layers_is_counted() -> None:
    twice, rest = measure_layers(Odd(), 4)
    assert (twice.name, twice.num_params, twice.multiply_adds) == ("twice", 12, 2 * 9 * 16)
    assert (rest.name, rest.num_params, rest.multiply_adds) == (ELSEWHERE, 3 + 56 + 15, 15)


def test_attention_is_counted() -> None:
    (layer,) = measure_layers(Attention(), 4)
    projections, products = 4 * 4 * 4 * 6, 2 * 6 * 6 * 4
    assert (layer.name, layer.multiply_adds) == ("attention", projections + products)
    assert layer.num_params == 4 * 4 * 4 + 4 * 4


def test_a_network_of_one_layer() -> None:
    (layer,) = measure_layers(nn.Conv2d(3, 2, 1), 4)
    assert (layer.type, layer.output_shape, layer.num_params) == ("Conv2d", (2, 4, 4), 8)


def test_measuring_leaves_no_trace() -> None:
    net = ResNet(ResNetConfig(blocks=[1], widths=[4]), 3, dropout=0.5)
    frozen = net.stages.get_submodule("0.0.norm1").eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    random_state = torch.get_rng_state()
    measure_layers(net, 8)
    torch.testing.assert_close(net.state_dict(), before)
    assert torch.equal(torch.get_rng_state(), random_state)
    assert [module for module in net.modules() if not module.training] == [frozen]
    assert not any(module._forward_hooks for module in net.modules())
    assert all(parameter.grad is None for parameter in net.parameters())


def test_the_table_is_aligned_and_ends_in_the_totals(tmp_path: Path) -> None:
    path = tmp_path / "architecture.txt"
    write_architecture_text(ResNet(ResNetConfig(), 10), 32, path)
    lines = path.read_text().splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[0].split() == ["layer", "type", "output", "parameters", "multiply-adds"]
    assert lines[-1].split() == ["total", "4,604,634", "183,421,440"]
    stem = next(line for line in lines if line.startswith("stem.conv"))
    want = ["stem.conv", "Conv2d", "16", "x", "32", "x", "32", "432", "442,368"]
    assert stem.split() == want
