"""The training step: what it changes, and that recording it changes nothing."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from conftest import make_tiny_config

from resnet_sweep.config import Config
from resnet_sweep.config.optimizer import AdamWConfig, MuonConfig, OptimizerConfig, SgdConfig
from resnet_sweep.config.regularization import RegularizationConfig
from resnet_sweep.data.augmentation import AlternatingFlips, Augmentation
from resnet_sweep.data.device import Part
from resnet_sweep.model.build import build_model
from resnet_sweep.optim.averages import AveragedWeights, EqualAverage, Lookahead
from resnet_sweep.optim.optimizer import build_optimizer
from resnet_sweep.optim.sam import SharpnessAware
from resnet_sweep.training.device import Execution
from resnet_sweep.training.evaluation import Normalizer, default_batch_size, evaluate
from resnet_sweep.training.step import GRAPH_WARMUP_STEPS, TrainStep, build_loss

EXECUTION = Execution(torch.device("cpu"), torch.float32, "none", channels_last=True)


def make_step(config: Config) -> TrainStep:
    torch.manual_seed(0)
    model = build_model(config, 10, 32).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    part = Part(torch.randint(0, 256, (80, 3, 32, 32), dtype=torch.uint8), torch.arange(80) % 10)
    settings = config.regularization
    rho, half_life = settings.sam_radius(), settings.ema_half_life_epochs
    augmentation, optimizer = Augmentation(config.augmentation, 10), config.optimizer
    k, alpha = optimizer.lookahead_steps, optimizer.lookahead_alpha
    step = TrainStep(
        EXECUTION,
        model,
        build_optimizer(optimizer, model, settings.weight_decay),
        build_loss(model, EXECUTION, settings),
        part,
        config.train.batch_size,
        Normalizer(torch.tensor([0.4, 0.5, 0.6]), torch.tensor([0.2, 0.25, 0.3])),
        augmentation,
        clip_grad_norm=settings.clip_grad_norm,
    )
    step.flips = AlternatingFlips(1, 80, torch.device("cpu")) if augmentation.alternates else None
    step.sam = None if rho is None else SharpnessAware(model, rho, settings.sam == "asam")
    step.ema = None if half_life is None else AveragedWeights(model, half_life)
    step.lookahead = None if k is None else Lookahead(model, k, alpha, step.steps_per_epoch)
    step.swa = None if settings.swa_start is None else EqualAverage(model)
    return step


def state_of(step: TrainStep) -> list[torch.Tensor]:
    return [tensor.clone() for tensor in [*step._weights_and_sums(), *step._moments()]]


@pytest.mark.slow
@pytest.mark.parametrize(
    "optimizer",
    [
        SgdConfig(),
        AdamWConfig(),
        MuonConfig(),
        MuonConfig(others="sgd"),
        SgdConfig(lookahead_steps=2),
    ],
)
@pytest.mark.parametrize("steps_before", [0, 2])
def test_recording_leaves_the_next_step_as_it_would_have_been(
    optimizer: OptimizerConfig, steps_before: int
) -> None:
    config = make_tiny_config()
    config.optimizer = optimizer
    config.regularization = RegularizationConfig(dropout=0.2, ema_half_life_epochs=3.0)
    plain, recorded = make_step(config), make_step(config)
    for step in (plain, recorded):
        torch.manual_seed(3)
        for i in range(steps_before):
            step(torch.arange(64), 0.1, i)
        if step is recorded:
            with step.preserved():
                for _ in range(GRAPH_WARMUP_STEPS):
                    step._step()
        step(torch.arange(10, 74), 0.1, steps_before)
    for a, b in zip(state_of(plain), state_of(recorded), strict=True):
        assert torch.equal(a, b)


def test_a_step_is_the_usual_loops_step() -> None:
    config = make_tiny_config()
    config.regularization = RegularizationConfig(label_smoothing=0.1, clip_grad_norm=0.5)
    step, reference = make_step(config), make_step(config)
    model = reference.model
    optimizer = torch.optim.SGD(
        [
            {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": 5e-4},
            {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0.0},
        ],
        lr=0.1,
        momentum=0.9,
        nesterov=True,
    )
    mean, std = torch.tensor([0.4, 0.5, 0.6]), torch.tensor([0.2, 0.25, 0.3])
    for i in range(3):
        indices = torch.arange(5 * i, 5 * i + 64)
        step(indices, 0.1, i)
        images = reference.part.images[indices].float() / 255
        images = (images - mean.view(3, 1, 1)) / std.view(3, 1, 1)
        loss = F.cross_entropy(model(images), reference.part.labels[indices], label_smoothing=0.1)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
    for a, b in zip(step.model.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_the_sums_are_means_over_the_images() -> None:
    step = make_step(make_tiny_config())
    step(torch.arange(64), 0.0, 0)
    images = step.normalize(step.part.images[:64], torch.channels_last)
    step.model.train()
    logits = step.model(images)
    labels = step.part.labels[:64]
    loss, accuracy = step.take_sums(64)
    assert loss == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-5)
    assert accuracy == pytest.approx((logits.argmax(1) == labels).float().mean().item())
    assert step.take_sums(64) == (0, 0)


def test_evaluation_is_a_plain_forward_pass() -> None:
    step = make_step(make_tiny_config())
    found = evaluate(step.model, step.part, step.normalize, EXECUTION)
    step.model.eval()
    with torch.no_grad():
        logits = step.model(step.normalize(step.part.images, torch.contiguous_format))
    assert found.loss == pytest.approx(F.cross_entropy(logits, step.part.labels).item(), rel=1e-5)
    expected = (logits.argmax(1) == step.part.labels).float().mean().item()
    assert found.accuracy == pytest.approx(expected)
    torch.testing.assert_close(found.probabilities, logits.softmax(1))


def test_larger_images_are_evaluated_in_smaller_batches() -> None:
    whole = default_batch_size(EXECUTION, 32)
    pixels = [default_batch_size(EXECUTION, side) * side**2 for side in (32, 64, 224)]
    assert max(pixels) == whole * 32**2 and default_batch_size(EXECUTION, 4096) == 1
