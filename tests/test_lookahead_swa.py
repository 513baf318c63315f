"""Lookahead against its algorithm written out, equal averages against torch.optim.swa_utils."""

from __future__ import annotations

import copy

import pytest
import torch
from conftest import make_tiny_config
from device_waits import WAITING, Recorder
from test_step import EXECUTION, make_step
from torch import nn
from torch.optim.swa_utils import AveragedModel, update_bn

from resnet_sweep.config import Config
from resnet_sweep.config.optimizer import SgdConfig
from resnet_sweep.config.regularization import RegularizationConfig
from resnet_sweep.data.device import Part
from resnet_sweep.optim.averages import (
    AveragedWeights,
    EqualAverage,
    Lookahead,
    recompute_statistics,
)
from resnet_sweep.training.evaluation import evaluate


def make_net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1))


def test_lookahead_is_the_algorithm() -> None:
    ours, theirs = make_net(), make_net()
    lookahead = Lookahead(ours, 3, 0.5, steps_per_epoch=7)
    optimizers = [torch.optim.SGD(net.parameters(), 0.1, momentum=0.9) for net in (ours, theirs)]
    slow = [p.detach().clone() for p in theirs.parameters()]
    images = torch.randn(8, 3, 5, 5)
    for step in range(16):
        for net, optimizer in zip((ours, theirs), optimizers, strict=True):
            optimizer.zero_grad()
            net(images).square().mean().backward()
            optimizer.step()
        lookahead.set_step(step)
        lookahead.update()
        if (step + 1) % 3 == 0 or step in (6, 13):
            for old, p in zip(slow, theirs.parameters(), strict=True):
                old += 0.5 * (p.detach() - old)
                p.data.copy_(old)
        for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(a, b)
    for a, b in zip(lookahead.slow, slow, strict=True):
        torch.testing.assert_close(a, b)


def test_the_slow_weights_are_evaluated() -> None:
    lookahead = Lookahead(make_net(), 5, 0.5, steps_per_epoch=7)
    met = [step for step in range(14) if lookahead.meets(step)]
    assert met == [4, 6, 9, 13]


def lookahead_config() -> Config:
    config = make_tiny_config()
    config.optimizer = SgdConfig(lookahead_steps=2)
    return config


def test_nothing_waits_for_the_device() -> None:
    step = make_step(lookahead_config())
    step(torch.arange(64), 0.1, 0)
    with Recorder() as recorder:
        step._step()
    assert recorder.names & WAITING == set()


def test_the_equal_average_is_torchs() -> None:
    net = make_net()
    ours, theirs = EqualAverage(net), AveragedModel(net)
    batches = [torch.randn(6, 3, 8, 8) for _ in range(4)]
    for i in range(3):
        torch.manual_seed(i)
        for p in net.parameters():
            p.data.add_(torch.randn_like(p))
        ours.update()
        theirs.update_parameters(net)
        recompute_statistics(ours.model, batches)
        update_bn(batches, theirs)
        expected = theirs.module.state_dict()
        for name, value in ours.model.state_dict().items():
            torch.testing.assert_close(value, expected[name])
    assert not ours.model.training
    norm = ours.model.get_submodule("1")
    assert norm.momentum == 0.1


@pytest.mark.parametrize("kind", ["instance", "spectral"])
def test_buffers_of_other_layers_are_torchs(kind: str) -> None:
    """Of running statistics that are not batch norm's, and of spectral norm's vectors."""
    torch.manual_seed(0)
    layers = [
        nn.Conv2d(3, 4, 3),
        nn.InstanceNorm2d(4, track_running_stats=True),
        nn.Conv2d(4, 2, 3),
    ]
    net = nn.Sequential(*layers)
    if kind == "spectral":
        net = nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Conv2d(3, 2, 3)))
    ours, theirs = EqualAverage(net), AveragedModel(net)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    for _ in range(3):
        net(torch.randn(5, 3, 8, 8)).square().mean().backward()
        optimizer.step()
        ours.update()
        theirs.update_parameters(net)
    found, expected = ours.model.state_dict(), theirs.module.state_dict()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value)


def test_an_exponential_average_has_the_models_other_buffers() -> None:
    class Counting(nn.Linear):
        def __init__(self) -> None:
            super().__init__(2, 2)
            self.register_buffer("seen", torch.zeros(1), persistent=False)
            self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    net = Counting()
    average = AveragedWeights(net, 10)
    net.seen += 1.5  # type: ignore[operator]
    net.steps += 7  # type: ignore[operator]
    average.update()
    assert (float(average.model.seen), int(average.model.steps)) == (1.5, 7)  # type: ignore[arg-type]


def test_an_exponential_average_follows_a_buffer_that_is_replaced() -> None:
    net = nn.Linear(2, 2)
    net.register_buffer("seen", torch.zeros(1))
    average = AveragedWeights(net, 10)
    reference = AveragedModel(net, avg_fn=lambda mean, new, _: mean + (new - mean) / 4)
    reference.use_buffers = True
    reference.n_averaged.fill_(1)
    for value in (1.0, 2.0):
        net.seen = torch.full((1,), value)
        average.weight.fill_(0.25)
        average.update()
        reference.update_parameters(net)
    assert torch.equal(average.model.seen, reference.module.seen)  # type: ignore[arg-type]


def test_an_exponential_average_takes_what_has_no_mean() -> None:
    net = nn.Linear(2, 2)
    net.steps = nn.Parameter(torch.zeros((), dtype=torch.int64), requires_grad=False)
    net.register_buffer("seen", torch.ones(1))
    average = AveragedWeights(net, 10)
    net.seen = None  # type: ignore[assignment]
    average.update()
    assert float(average.model.seen) == 1  # type: ignore[arg-type]


def test_an_equal_average_takes_what_has_no_mean() -> None:
    net = nn.Linear(2, 2)
    net.steps = nn.Parameter(torch.zeros((), dtype=torch.int64), requires_grad=False)
    average = EqualAverage(net)
    net.register_buffer("later", torch.ones(1))
    before = net.weight.detach().clone()
    average.update()
    net.weight.data.add_(1.0)
    average.update()
    torch.testing.assert_close(average.model.weight, before + 0.5)


def test_recomputing_draws_nothing_and_drops_nothing() -> None:
    net = nn.Sequential(nn.Dropout(0.5), *make_net())
    plain = copy.deepcopy(net[1:])
    batches = [torch.randn(6, 3, 8, 8) for _ in range(2)]
    before = torch.get_rng_state()
    recompute_statistics(net, batches)
    assert torch.equal(torch.get_rng_state(), before)
    update_bn(batches, plain)
    torch.testing.assert_close(net[2].running_mean, plain[1].running_mean)


def test_the_mean_is_kept_from_its_first_epoch_on() -> None:
    config = make_tiny_config()
    config.regularization = RegularizationConfig(swa_start=0.5)
    step = make_step(config)
    step(torch.arange(64), 0.1, 0)
    assert step.kept_model is step.model
    step.average_epoch()
    first = [p.clone() for p in step.kept_model.parameters()]
    step(torch.arange(64), 0.1, 1)
    step.average_epoch()
    assert step.swa is not None and step.kept_model is step.swa.model and step.swa.count == 2
    rows = zip(first, step.model.parameters(), step.kept_model.parameters(), strict=True)
    for old, new, mean in rows:
        torch.testing.assert_close(mean, (old + new) / 2)


def test_statistics_are_of_mixed_batches_whatever_the_order_of_the_images() -> None:
    """Image folders come class by class; within one class pixels differ less than in a batch."""
    config = make_tiny_config()
    config.train.batch_size = 20
    config.regularization = RegularizationConfig(swa_start=0.5)
    step = make_step(config)
    shades = torch.arange(80) // 20 * 80  # four classes, each as large as a batch
    pixels = shades.view(80, 1, 1, 1).expand(80, 3, 32, 32).clamp(max=255).to(torch.uint8)
    step.part = Part(pixels.contiguous(), step.part.labels)
    draws = torch.get_rng_state()
    step.average_epoch()
    assert torch.equal(torch.get_rng_state(), draws)
    assert step.swa is not None
    norm = next(m for m in step.swa.model.modules() if isinstance(m, nn.BatchNorm2d))
    outputs: list[torch.Tensor] = []
    norm.register_forward_pre_hook(lambda _, given: outputs.append(given[0]))
    evaluate(step.swa.model, step.part, step.normalize, EXECUTION)
    whole = torch.cat(outputs).var(dim=(0, 2, 3), correction=0)
    assert norm.running_var is not None
    torch.testing.assert_close(norm.running_var, whole, rtol=0.2, atol=1e-3)
