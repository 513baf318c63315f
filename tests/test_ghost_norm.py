"""Ghost batch normalisation against BatchNorm2d on each slice."""

from __future__ import annotations

import copy

import pytest
import torch
from conftest import make_tiny_config
from device_waits import WAITING, Recorder
from test_step import make_step
from torch import nn

from resnet_sweep.config.regularization import RegularizationConfig
from resnet_sweep.model.build import build_model
from resnet_sweep.model.layers import GhostBatchNorm2d, use_ghost_norm


def make_pair(ghost_size: int) -> tuple[nn.Module, nn.BatchNorm2d]:
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(5)
    for values in (norm.weight, norm.bias, norm.running_mean):
        nn.init.normal_(values)  # type: ignore[arg-type]
    net = nn.Sequential(copy.deepcopy(norm))
    use_ghost_norm(net, ghost_size)
    assert isinstance(net[0], GhostBatchNorm2d)
    return net, norm


@pytest.mark.parametrize("ghost_size", [4, 8, 24, 100])
def test_each_slice_is_normalised_by_itself(ghost_size: int) -> None:
    ghost, norm = make_pair(ghost_size)
    x = torch.randn(24, 5, 3, 3).to(memory_format=torch.channels_last)
    inputs = [x.clone().requires_grad_() for _ in range(2)]
    slices = [inputs[1][i : i + ghost_size] for i in range(0, 24, ghost_size)]
    found, expected = ghost(inputs[0]), torch.cat([norm(part) for part in slices])
    torch.testing.assert_close(found, expected)
    assert found.is_contiguous(memory_format=torch.channels_last)
    weights = torch.randn_like(found)
    for result in (found, expected):
        (result * weights).sum().backward()
    torch.testing.assert_close(inputs[0].grad, inputs[1].grad)
    for a, b in zip(ghost.buffers(), norm.buffers(), strict=True):
        torch.testing.assert_close(a, b)
    for a, b in zip(ghost.parameters(), norm.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)


def test_evaluation_is_that_of_batch_norm() -> None:
    ghost, norm = make_pair(4)
    x = torch.randn(24, 5, 3, 3)
    assert torch.equal(ghost.eval()(x), norm.eval()(x))


def test_every_norm_of_a_net_is_replaced_and_nothing_else_changes() -> None:
    config = make_tiny_config()
    torch.manual_seed(0)
    plain = build_model(config, 10, 32)
    config.regularization = RegularizationConfig(ghost_batch_size=8)
    torch.manual_seed(0)
    ghost = build_model(config, 10, 32)
    kinds = {type(m) for m in ghost.modules() if isinstance(m, nn.BatchNorm2d)}
    assert kinds == {GhostBatchNorm2d}
    assert ghost.state_dict().keys() == plain.state_dict().keys()
    for a, b in zip(plain.state_dict().values(), ghost.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    images = torch.randn(16, 3, 32, 32)
    assert torch.equal(plain.eval()(images), ghost.eval()(images))
    assert not torch.allclose(plain.train()(images), ghost.train()(images))


def test_frozen_and_shared_norms_stay_so() -> None:
    norm = nn.BatchNorm2d(3).requires_grad_(False)
    net = nn.Sequential(nn.Sequential(norm), nn.Sequential(norm), nn.BatchNorm2d(3))
    use_ghost_norm(net, 4)
    assert net[0][0] is net[1][0] and isinstance(net[0][0], GhostBatchNorm2d)
    assert [p.requires_grad for p in net.parameters()] == [False, False, True, True]


def test_nothing_waits_for_the_device() -> None:
    config = make_tiny_config()
    config.regularization = RegularizationConfig(ghost_batch_size=16)
    step = make_step(config)
    step(torch.arange(64), 0.1, 0)
    with Recorder() as recorder:
        step._step()
    assert recorder.names & WAITING == set()
