"""Mixup and CutMix: distributions against scipy, boxes against torchvision, sums by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from conftest import seeded
from scipy import stats
from torchvision.transforms import v2

from resnet_sweep.config.augmentation import CutmixConfig, MixupConfig
from resnet_sweep.data.augmentation.mixing import (
    combine,
    cutmix_shares,
    draw_beta,
    mix,
    mixup_shares,
)

CPU = torch.device("cpu")


@pytest.mark.parametrize("alpha", [0.2, 0.5, 1.0, 2.0, 50.0])
def test_beta_against_scipy(alpha: float) -> None:
    torch.manual_seed(0)
    draws = draw_beta(alpha, 20_000, CPU).numpy()
    # A sample rounded like ours: a small alpha has mass nearer to 1 than single precision tells.
    reference = stats.beta(alpha, alpha).rvs(20_000, random_state=0).astype(np.float32)
    assert draws.min() >= 0 and draws.max() <= 1
    assert stats.ks_2samp(draws, reference).pvalue > 0.01
    assert draws.var() == pytest.approx(stats.beta(alpha, alpha).var(), rel=0.05)


def test_beta_of_one_is_the_uniform_draw_itself() -> None:
    expected = torch.rand(1000, generator=seeded())
    torch.manual_seed(0)
    torch.testing.assert_close(draw_beta(1.0, 1000, CPU), expected, rtol=0, atol=1e-6)


def test_combine_by_hand() -> None:
    images = torch.randn(3, 2, 4, 4, generator=seeded())
    labels, partners = torch.tensor([2, 0, 2]), torch.tensor([1, 2, 0])
    lambdas = torch.tensor([0.25, 1.0, 0.5])
    mixed, targets = combine(images, labels, partners, mixup_shares(lambdas, 4), 4)
    expected = torch.stack(
        [0.25 * images[0] + 0.75 * images[1], images[1], (images[2] + images[0]) / 2]
    )
    torch.testing.assert_close(mixed, expected)
    assert targets.tolist() == [[0.75, 0, 0.25, 0], [1, 0, 0, 0], [0, 0, 1, 0]]


def test_cutmix_box_is_torchvisions(monkeypatch: pytest.MonkeyPatch) -> None:
    size, count = 13, 60
    lambdas = torch.rand(count, generator=seeded())
    rows, columns = torch.randint(size, (2, count), generator=seeded(1)).unbind()
    images = torch.randn(2, 3, size, size, generator=seeded(2))
    shares = cutmix_shares(lambdas, rows, columns, size)
    labels = torch.tensor([0, 1])
    for n in range(count):
        expected = torchvision_cutmix(
            images, labels, lambdas[n], columns[n : n + 1], rows[n : n + 1], monkeypatch
        )
        pair = shares[n : n + 1].expand(2, -1, -1, -1)
        mixed, targets = combine(images, labels, torch.tensor([1, 0]), pair, 2)
        assert torch.equal(mixed, expected[0])
        torch.testing.assert_close(targets, expected[1])


def torchvision_cutmix(
    images: torch.Tensor,
    labels: torch.Tensor,
    lam: torch.Tensor,
    column: torch.Tensor,
    row: torch.Tensor,
    monkeypatch: pytest.MonkeyPatch,
) -> Any:
    """Run CutMix with these draws; it pairs a batch of two with each other."""
    transform = v2.CutMix(num_classes=2)
    draws = iter((column, row))
    with monkeypatch.context() as patch:
        patch.setattr(transform._dist, "sample", lambda shape: lam)
        patch.setattr(torch, "randint", lambda *args, **kwargs: next(draws))
        return transform(images, labels)


def mixed_names(
    mixup: MixupConfig | None, cutmix: CutmixConfig | None, count: int = 2000
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mix images whose one colour is their label: images [count, 8, 8] and targets."""
    labels = torch.arange(count)
    images = labels.float().view(-1, 1, 1, 1).expand(-1, 1, 8, 8)
    torch.manual_seed(0)
    mixed, targets = mix(images, labels, mixup, cutmix, count)
    return mixed[:, 0], targets


def test_targets_are_the_shares_of_the_pixels() -> None:
    for mixup, cutmix in ((MixupConfig(1.0), None), (None, CutmixConfig(1.0, 1.0))):
        mixed, targets = mixed_names(mixup, cutmix, 200)
        torch.testing.assert_close(targets.sum(1), torch.ones(200))
        expected = targets @ torch.arange(200.0)
        torch.testing.assert_close(mixed.mean((1, 2)), expected, rtol=1e-4, atol=1e-3)


def test_partners_are_a_permutation() -> None:
    _, targets = mixed_names(MixupConfig(1.0), None, 200)
    own = targets.diagonal()
    partners = (targets - torch.diag(own)).argmax(1)[own < 1]
    assert len(partners.unique()) == len(partners) > 190


def is_cut(mixed: torch.Tensor) -> torch.Tensor:
    flat = mixed.flatten(1)
    return flat.amin(1) != flat.amax(1)


def test_cutmix_has_its_probability() -> None:
    always = is_cut(mixed_names(None, CutmixConfig(1.0, 1.0))[0]).float().mean()
    sometimes = is_cut(mixed_names(None, CutmixConfig(1.0, 0.3))[0]).float().mean()
    assert always > 0.85
    assert abs(sometimes - 0.3 * always) < 4 * (0.3 * 0.7 / 2000) ** 0.5
    mixed, targets = mixed_names(None, CutmixConfig(1.0, 0.0), 50)
    assert torch.equal(targets, torch.eye(50)) and not is_cut(mixed).any()


def test_each_image_draws_mixup_or_cutmix_half_and_half() -> None:
    only = is_cut(mixed_names(None, CutmixConfig(1.0, 1.0))[0]).float().mean()
    mixed, targets = mixed_names(MixupConfig(1.0), CutmixConfig(1.0, 1.0))
    cut = is_cut(mixed)
    assert abs(cut.float().mean() - only / 2) < 4 * (0.25 / 2000) ** 0.5
    blended = (targets.diagonal() < 1) & ~cut
    assert abs(blended.float().mean() - 0.5) < 4 * (0.25 / 2000) ** 0.5


def test_mixing_keeps_half_precision_images() -> None:
    images = torch.randn(4, 3, 8, 8, generator=seeded()).bfloat16()
    torch.manual_seed(0)
    mixed, targets = mix(images, torch.arange(4), MixupConfig(), CutmixConfig(), 4)
    assert mixed.dtype == torch.bfloat16 and targets.dtype == torch.float32
