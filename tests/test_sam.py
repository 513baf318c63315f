"""SAM and ASAM against loops written out after the papers."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from conftest import make_tiny_config
from device_waits import WAITING, Recorder
from test_step import make_step
from torch import nn

from resnet_sweep.config import Config
from resnet_sweep.config.errors import ConfigError
from resnet_sweep.config.optimizer import SgdConfig
from resnet_sweep.config.regularization import RegularizationConfig
from resnet_sweep.optim.sam import SharpnessAware
from resnet_sweep.training.step import TrainStep

MEAN, STD = torch.tensor([0.4, 0.5, 0.6]), torch.tensor([0.2, 0.25, 0.3])


def sam_config(**regularization: object) -> Config:
    config = make_tiny_config()
    config.optimizer = SgdConfig(nesterov=False)
    config.regularization = RegularizationConfig(**regularization)  # type: ignore[arg-type]
    return config


def reference_loss(step: TrainStep, model: nn.Module, indices: torch.Tensor) -> torch.Tensor:
    images = step.part.images[indices].float() / 255
    images = (images - MEAN.view(3, 1, 1)) / STD.view(3, 1, 1)
    return F.cross_entropy(model(images), step.part.labels[indices])


def weight_sizes(model: nn.Module, adaptive: bool) -> dict[str, torch.Tensor]:
    """T_w of ASAM, or all ones."""
    sizes = {}
    for name, p in model.named_parameters():
        plain = not adaptive or name.split(".")[-1] == "bias"
        sizes[name] = torch.ones_like(p) if plain else p.detach().abs() + 0.01
    return sizes


def reference_steps(step: TrainStep, rho: float, adaptive: bool, steps: int) -> nn.Module:
    """One number at a time: ascend, differentiate there, come back, SGD with momentum."""
    model = step.model
    momenta = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    for i in range(steps):
        indices = torch.arange(5 * i, 5 * i + 64)
        reference_loss(step, model, indices).backward()
        sizes = weight_sizes(model, adaptive)
        gradients = {name: p.grad for name, p in model.named_parameters()}
        squares = [(sizes[n] * g).square().sum() for n, g in gradients.items() if g is not None]
        norm = sum(squares).sqrt()  # type: ignore[union-attr]
        away = copy.deepcopy(model)  # its running statistics are thrown away
        for name, p in away.named_parameters():
            g = gradients[name]
            assert g is not None
            p.data += rho * sizes[name] ** 2 * g / norm
        away.zero_grad()
        reference_loss(step, away, indices).backward()
        model.zero_grad()
        for (name, p), q in zip(model.named_parameters(), away.parameters(), strict=True):
            assert q.grad is not None
            decay = 5e-4 if p.ndim > 1 else 0.0
            momenta[name] = 0.9 * momenta[name] + q.grad + decay * p.detach()
            p.data -= 0.1 * momenta[name]
    return model


@pytest.mark.parametrize(("kind", "rho"), [("sam", 0.3), ("asam", 2.0)])
@pytest.mark.parametrize("scaled", [False, True])
def test_a_step_is_the_papers(kind: str, rho: float, scaled: bool) -> None:
    config = sam_config(sam=kind, sam_rho=rho)
    step, reference = make_step(config), make_step(config)
    if scaled:
        step.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    for i in range(3):
        step(torch.arange(5 * i, 5 * i + 64), 0.1, i)
    expected = reference_steps(reference, rho, kind == "asam", 3).state_dict()
    for name, value in step.model.state_dict().items():
        torch.testing.assert_close(value, expected[name], rtol=1e-3, atol=1e-5)


def test_the_perturbation_matters() -> None:
    ends = []
    for sam in (None, "sam", "asam"):
        step = make_step(sam_config(sam=sam))
        step(torch.arange(64), 0.1, 0)
        ends.append(next(step.model.parameters()).detach().clone())
    assert not torch.equal(ends[0], ends[1]) and not torch.equal(ends[1], ends[2])


def test_running_statistics_are_those_of_the_first_pass() -> None:
    plain, sharp = make_step(sam_config()), make_step(sam_config(sam="sam", sam_rho=0.5))
    for step in (plain, sharp):
        step(torch.arange(64), 0.1, 0)
    for a, b in zip(plain.model.buffers(), sharp.model.buffers(), strict=True):
        assert torch.equal(a, b)
    assert plain.take_sums(64) == sharp.take_sums(64)


def test_a_buffer_that_a_network_replaces_is_that_of_the_first_pass() -> None:
    net = nn.Linear(2, 2)
    net.register_buffer("seen", torch.zeros(1))
    net(torch.ones(1, 2)).sum().backward()
    sharp = SharpnessAware(net, 0.5, adaptive=False)
    net.seen = torch.ones(1)
    with sharp.perturbed():
        net.seen = torch.full((1,), 2.0)
        net.register_buffer("more", torch.ones(1))
    assert float(net.seen) == 1


def test_an_overflow_skips_the_step_and_leaves_the_weights() -> None:
    step = make_step(sam_config(sam="sam"))
    before = [p.detach().clone() for p in step.model.parameters()]
    step.scaler = torch.amp.GradScaler("cpu", init_scale=float("inf"))
    step(torch.arange(64), 0.1, 0)
    for p, old in zip(step.model.parameters(), before, strict=True):
        assert torch.equal(p, old)
    assert all(b.isfinite().all() for b in step.model.buffers())


@pytest.mark.parametrize("kind", ["sam", "asam"])
def test_nothing_waits_for_the_device(kind: str) -> None:
    step = make_step(sam_config(sam=kind, clip_grad_norm=1.0))
    step(torch.arange(64), 0.1, 0)
    with Recorder() as recorder:
        step._step()
    assert len(recorder.names) > 20
    assert recorder.names & WAITING == set()


def test_the_radius() -> None:
    assert RegularizationConfig().sam_radius() is None
    assert RegularizationConfig(sam="sam").sam_radius() == 0.05
    assert RegularizationConfig(sam="asam").sam_radius() == 0.5
    assert RegularizationConfig(sam="asam", sam_rho=0.1).sam_radius() == 0.1
    with pytest.raises(ConfigError, match=r"regularization\.sam=sharp"):
        RegularizationConfig(sam="sharp")
    with pytest.raises(ConfigError, match=r"regularization\.sam_rho=0\.1: needs"):
        RegularizationConfig(sam_rho=0.1)
