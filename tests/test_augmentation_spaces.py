"""Op spaces and policies against torchvision's, and how often each choice is drawn."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torchvision.transforms import (
    AutoAugment,
    AutoAugmentPolicy,
    RandAugment,
    TrivialAugmentWide,
)

from resnet_sweep.config.augmentation import AutoAugmentConfig, RandAugmentConfig
from resnet_sweep.data.augmentation import spaces
from resnet_sweep.data.augmentation.operations import Choice, operation_rows

Reference = dict[str, tuple[Tensor, bool]]


def listed(space: Reference, bins: list[int]) -> list[Choice]:
    """torchvision's choices, unsigned operations twice so that all are equally likely."""
    return sorted(
        (name, sign * float(values[index]) if values.ndim else 0.0)
        for name, (values, signed) in space.items()
        for index in bins
        for sign in ((1, -1) if signed else (1, 1))
    )


@pytest.mark.parametrize("magnitude", [0, 9, 30])
@pytest.mark.parametrize("size", [32, 224])
def test_randaugment_space(magnitude: int, size: int) -> None:
    reference = RandAugment()._augmentation_space(31, (size, size))
    assert sorted(spaces.randaugment_choices(magnitude, size)) == listed(reference, [magnitude])


def test_trivialaugment_space() -> None:
    reference = TrivialAugmentWide()._augmentation_space(31)
    assert sorted(spaces.trivialaugment_choices()) == listed(reference, list(range(31)))


def test_autoaugment_magnitudes() -> None:
    reference = AutoAugment()._augmentation_space(10, (32, 32))
    for name, (values, signed) in reference.items():
        expected = values.tolist() if values.ndim else [0.0] * 10
        assert spaces.magnitudes(name, spaces.standard_space(32), 10) == expected
        assert signed == (name not in spaces.UNSIGNED)


def test_autoaugment_takes_a_step_with_its_probability_and_sign() -> None:
    # Sub-policy 1 of cifar10: Rotate with 0.7 (index 2), TranslateX with 0.3 (index 9).
    draws = torch.tensor([[1, 1, 1, 1], [0, 1, 0, 0], [0, 1, 0, 0]])
    chances = torch.tensor([[0.69, 0.29], [0.69, 0.29], [0.71, 0.29], [0.69, 0.31]])
    rows = spaces.autoaugment_rows("cifar10", draws, chances, 32)
    angle = 30.0 * 2 / 9
    shift = 150 / 331 * 32
    steps = [
        [("Rotate", angle), ("TranslateX", shift)],
        [("Rotate", -angle), ("TranslateX", -shift)],
        [("Identity", 0.0), ("TranslateX", shift)],
        [("Rotate", angle), ("Identity", 0.0)],
    ]
    expected = torch.stack([operation_rows(pair, 32) for pair in steps])
    torch.testing.assert_close(rows, expected)


Augment = Callable[[Tensor], Tensor]


def drawn_rows(monkeypatch: pytest.MonkeyPatch, augment: Augment, count: int) -> list[Tensor]:
    """The rows that each step hands to the operations, which are left out."""
    steps: list[Tensor] = []

    def record(images: Tensor, rows: Tensor) -> Tensor:
        steps.append(rows)
        return images

    monkeypatch.setattr(spaces, "apply_operations", record)
    images = torch.zeros(count, 3, 32, 32, dtype=torch.uint8)
    torch.manual_seed(0)
    augment(images)
    return steps


def shares_of(rows: Tensor, choices: list[Choice]) -> Tensor:
    table = operation_rows(choices, 32)
    return (rows[:, None] == table).all(2).float().mean(0)


def test_randaugment_draws_all_choices_equally(monkeypatch: pytest.MonkeyPatch) -> None:
    config = RandAugmentConfig(num_ops=3, magnitude=9)
    steps = drawn_rows(monkeypatch, lambda x: spaces.randaugment(x, config), 7000)
    assert len(steps) == 3 and not torch.equal(steps[0], steps[1])
    signed = [(n, m) for n, m in spaces.randaugment_choices(9, 32) if n not in spaces.UNSIGNED]
    for rows in steps:
        shares = shares_of(rows, signed)
        assert (shares - 1 / 28).abs().max() < 4.5 * (1 / 28 / 7000) ** 0.5
        assert shares_of(rows, [("Equalize", 0.0)]).item() == pytest.approx(1 / 14, abs=0.014)


def test_trivialaugment_draws_all_magnitudes_equally(monkeypatch: pytest.MonkeyPatch) -> None:
    (rows,) = drawn_rows(monkeypatch, spaces.trivialaugment, 7000)
    blends = rows[:, 6].abs()
    counts = (blends[:, None] == torch.linspace(0, 0.99, 31)[1:]).sum(0)
    expected = 7000 * 4 / 14 / 31
    assert (counts - expected).abs().max() < 4 * expected**0.5


def test_autoaugment_draws_each_sub_policy_and_step(monkeypatch: pytest.MonkeyPatch) -> None:
    config = AutoAugmentConfig(policy="svhn")
    steps = drawn_rows(monkeypatch, lambda x: spaces.autoaugment(x, config), 7000)
    identity = operation_rows([("Identity", 0.0)], 32)
    policies = AutoAugment(AutoAugmentPolicy.SVHN).policies
    for step, rows in enumerate(steps):
        skipped = (rows == identity).all(1).float().mean()
        expected = sum(1 - pair[step][1] for pair in policies) / 25
        assert abs(skipped - expected) < 4 * (expected * (1 - expected) / 7000) ** 0.5
