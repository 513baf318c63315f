"""Learning rates against torch's own schedulers."""

from __future__ import annotations

import pytest
import torch
from torch.optim import lr_scheduler

from resnet_sweep.config.scheduler import (
    ConstantConfig,
    CosineConfig,
    CosineRestartsConfig,
    ExponentialConfig,
    LinearConfig,
    MultistepConfig,
    OneCycleConfig,
    PlateauConfig,
    SchedulerConfig,
    StepConfig,
)
from resnet_sweep.optim.scheduler import Schedule

EPOCHS, STEPS = 12, 5
TOTAL = EPOCHS * STEPS
PEAK = 0.4


def our_rates(config: SchedulerConfig) -> list[float]:
    schedule = Schedule(config, PEAK, STEPS, EPOCHS)
    return [schedule.lr(step) for step in range(TOTAL)]


def torch_rates(make: object, per_epoch: bool = False) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)
    scheduler = make(optimizer)  # type: ignore[operator]
    rates = []
    for step in range(TOTAL):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        if not per_epoch or (step + 1) % STEPS == 0:
            scheduler.step()
    return rates


def test_cosine_is_torchs() -> None:
    expected = torch_rates(lambda o: lr_scheduler.CosineAnnealingLR(o, TOTAL, eta_min=0.1 * PEAK))
    assert our_rates(CosineConfig(final_fraction=0.1)) == pytest.approx(expected)


@pytest.mark.parametrize(("cycles", "factor", "first"), [(2, 2, 20), (4, 1, 15), (1, 3, 60)])
def test_restarts_are_torchs(cycles: int, factor: int, first: int) -> None:
    expected = torch_rates(
        lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, first, factor, eta_min=0.1 * PEAK)
    )
    config = CosineRestartsConfig(final_fraction=0.1, cycles=cycles, cycle_factor=factor)
    assert our_rates(config) == pytest.approx(expected)


@pytest.mark.parametrize("cycles", [3, 100])
def test_restarts_fill_a_run_of_any_length(cycles: int) -> None:
    config = CosineRestartsConfig(cycles=cycles, cycle_factor=1.7, warmup_epochs=1)
    rates = our_rates(config)
    assert max(rates) == rates[STEPS] == PEAK
    assert min(rates) >= 0
    if cycles == 3:
        assert sum(rate == PEAK for rate in rates[STEPS:]) == 3
        assert rates[-1] < 0.01 * PEAK


def test_linear_is_torchs() -> None:
    expected = torch_rates(lambda o: lr_scheduler.LinearLR(o, 1.0, 0.2, TOTAL))
    assert our_rates(LinearConfig(final_fraction=0.2)) == pytest.approx(expected)


def test_constant_is_the_peak() -> None:
    assert our_rates(ConstantConfig()) == [PEAK] * TOTAL


@pytest.mark.parametrize("warmup_epochs", [None, 3.6, 6.0])
def test_one_cycle_is_torchs(warmup_epochs: float | None) -> None:
    share = 0.3 if warmup_epochs is None else warmup_epochs / EPOCHS

    def make(optimizer: torch.optim.Optimizer) -> lr_scheduler.LRScheduler:
        return lr_scheduler.OneCycleLR(
            optimizer, PEAK, TOTAL, pct_start=share, cycle_momentum=False
        )

    # torch's last call of step() would be one too many.
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)
    scheduler = make(optimizer)
    expected = []
    for step in range(TOTAL):
        expected.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        if step < TOTAL - 1:
            scheduler.step()
    assert our_rates(OneCycleConfig(warmup_epochs=warmup_epochs)) == pytest.approx(expected)


def test_multistep_is_torchs() -> None:
    expected = torch_rates(lambda o: lr_scheduler.MultiStepLR(o, [6, 9], 0.1), per_epoch=True)
    assert our_rates(MultistepConfig()) == pytest.approx(expected)


def test_step_is_torchs() -> None:
    expected = torch_rates(lambda o: lr_scheduler.StepLR(o, 4, 0.3), per_epoch=True)
    assert our_rates(StepConfig(step_epochs=4, gamma=0.3)) == pytest.approx(expected)


def test_exponential_is_torchs() -> None:
    expected = torch_rates(lambda o: lr_scheduler.ExponentialLR(o, 0.7), per_epoch=True)
    assert our_rates(ExponentialConfig(gamma=0.7)) == pytest.approx(expected)


def test_plateau_is_torchs() -> None:
    losses = [3.0, 2.0, 2.0, 2.1, 1.99999, 1.5, 1.6, 1.6, 1.6, 1.6, 1.6, 1.6]
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)
    theirs = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1, threshold=1e-4)
    ours = Schedule(PlateauConfig(factor=0.5, patience=1), PEAK, STEPS, EPOCHS)
    for loss in losses:
        theirs.step(loss)
        ours.end_epoch(loss)
        assert ours.lr(0) == pytest.approx(optimizer.param_groups[0]["lr"])
    assert ours.lr(0) < PEAK


@pytest.mark.parametrize(
    "config", [CosineConfig, CosineRestartsConfig, LinearConfig, ConstantConfig, StepConfig]
)
def test_warmup_rises_in_a_straight_line_to_the_peak(config: type[SchedulerConfig]) -> None:
    rates = our_rates(config(warmup_epochs=2))
    assert rates[: 2 * STEPS] == pytest.approx([PEAK * (i + 1) / 10 for i in range(10)])
    assert rates[2 * STEPS] == pytest.approx(PEAK)


def test_plateau_goes_on_from_its_state() -> None:
    config = PlateauConfig(factor=0.5, patience=0)
    first = Schedule(config, PEAK, STEPS, EPOCHS)
    for loss in (1.0, 1.0):
        first.end_epoch(loss)
    second = Schedule(config, PEAK, STEPS, EPOCHS)
    second.load_state_dict(first.state_dict())
    second.end_epoch(1.0)
    assert second.lr(0) == pytest.approx(PEAK / 4)
