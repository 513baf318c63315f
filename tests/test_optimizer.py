"""Optimizers and averaged weights against torch's."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from resnet_sweep.config.optimizer import (
    AdamConfig,
    AdamWConfig,
    OptimizerConfig,
    RmspropConfig,
    SgdConfig,
)
from resnet_sweep.optim.averages import AveragedWeights
from resnet_sweep.optim.optimizer import build_optimizer, set_lr


def make_net() -> nn.Sequential:
    torch.manual_seed(0)
    # No bias before the norm: its gradient is rounding noise, which Adam would blow up.
    return nn.Sequential(nn.Linear(6, 5, bias=False), nn.BatchNorm1d(5), nn.Linear(5, 3))


def train(net: nn.Module, optimizer: torch.optim.Optimizer, steps: int = 5) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        optimizer.zero_grad()
        net(torch.randn(8, 6, generator=generator)).square().mean().backward()
        optimizer.step()
    return [p.detach().clone() for p in net.parameters()]


REFERENCES = [
    (SgdConfig(lr=0.05), lambda p: torch.optim.SGD(p, 0.05, 0.9, nesterov=True, weight_decay=0.1)),
    (AdamConfig(lr=0.01), lambda p: torch.optim.Adam(p, 0.01, weight_decay=0.1)),
    (AdamWConfig(lr=0.01), lambda p: torch.optim.AdamW(p, 0.01, weight_decay=0.1)),
    (
        RmspropConfig(lr=0.01),
        lambda p: torch.optim.RMSprop(p, 0.01, momentum=0.9, weight_decay=0.1),
    ),
]


@pytest.mark.parametrize(("config", "reference"), REFERENCES)
def test_trains_as_torchs_default_implementation(
    config: OptimizerConfig, reference: object
) -> None:
    config.exclude_norm_and_bias = False
    ours, theirs = make_net(), make_net()
    got = train(ours, build_optimizer(config, ours, 0.1))
    expected = train(theirs, reference(theirs.parameters()))  # type: ignore[operator]
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_a_first_step_that_overflows_leaves_no_momentum() -> None:
    net = make_net()
    optimizer = build_optimizer(SgdConfig(implementation="fused"), net, 0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=float("inf"))
    torch.use_deterministic_algorithms(True)  # fills memory that nobody sets with NaN
    try:
        scaler.scale(net(torch.ones(8, 6)).square().mean()).backward()
        scaler.step(optimizer)
    finally:
        torch.use_deterministic_algorithms(False)
    momenta = [optimizer.state[p].get("momentum_buffer") for p in net.parameters()]
    assert all(m is None or not m.any() for m in momenta)


def test_norms_and_biases_are_not_decayed() -> None:
    net = make_net()
    optimizer = build_optimizer(SgdConfig(lr=0.1, momentum=0.0, nesterov=False), net, 0.5)
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    for parameter in net.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in net.named_parameters():
        factor = 0.95 if name in ("0.weight", "2.weight") else 1.0
        torch.testing.assert_close(parameter.detach(), before[name] * factor)


def test_set_lr_reaches_every_group_in_place() -> None:
    net = make_net()
    optimizer = build_optimizer(SgdConfig(), net, 0.1)
    set_lr(optimizer, 0.025)
    assert [group["lr"] for group in optimizer.param_groups] == [0.025, 0.025]


@pytest.mark.parametrize(("scaling", "expected"), [("none", 0.1), ("linear", 0.4), ("sqrt", 0.2)])
def test_lr_scales_with_the_batch(scaling: str, expected: float) -> None:
    assert SgdConfig(lr=0.1, lr_scaling=scaling).peak_lr(1024) == pytest.approx(expected)


def test_averaged_weights_are_torchs_averaged_model() -> None:
    net = make_net()
    ema = AveragedWeights(net, half_life_steps=4.0)
    decay = 0.5 ** (1 / 4)
    reference = AveragedModel(
        net,
        avg_fn=lambda mean, new, _: decay * mean + (1 - decay) * new,
        use_buffers=True,
    )
    reference.n_averaged.fill_(1)  # start from the present weights, as ours does
    generator = torch.Generator().manual_seed(2)
    for _ in range(6):
        net(torch.randn(8, 6, generator=generator))
        for parameter in net.parameters():
            parameter.data.add_(torch.randn(parameter.shape, generator=generator))
        ema.set_step(10_000)
        ema.update()
        reference.update_parameters(net)
    expected = reference.module.state_dict()
    for name, value in ema.model.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, expected[name])


def test_the_average_forgets_faster_at_first() -> None:
    ema = AveragedWeights(make_net(), half_life_steps=1000.0)
    assert ema.decay(0) == pytest.approx(0.1)
    assert ema.decay(10**6) == pytest.approx(0.5 ** (1 / 1000))
