"""RICAP against crops pasted one by one."""

from __future__ import annotations

import pytest
import torch
from conftest import seeded
from torch import Tensor

from resnet_sweep.config.augmentation import (
    AugmentationConfig,
    CutmixConfig,
    MixupConfig,
    RicapConfig,
)
from resnet_sweep.data.augmentation import Augmentation
from resnet_sweep.data.augmentation.mixing import part_sizes, patch, random_ricap

SIZE = 7


def pasted(
    images: Tensor, labels: Tensor, partners: Tensor, corner: Tensor, places: Tensor
) -> tuple[Tensor, Tensor]:
    """The published code's way: cut four crops, join them in rows, join the rows."""
    results, targets = [], torch.zeros(len(images), 4)
    for n in range(len(images)):
        row, column = corner[:, n].tolist()
        heights, widths = [row, row, SIZE - row, SIZE - row], [column, SIZE - column] * 2
        crops = []
        for part in range(4):
            top, left = places[:, n, part].tolist()
            image = images[partners[n, part]]
            crops.append(image[:, top : top + heights[part], left : left + widths[part]])
            area = heights[part] * widths[part] / SIZE**2
            targets[n, labels[partners[n, part]]] += area
        upper, lower = torch.cat(crops[:2], 2), torch.cat(crops[2:], 2)
        results.append(torch.cat((upper, lower), 1))
    return torch.stack(results), targets


def test_patches_are_pasted_crops() -> None:
    count = 50
    images = torch.randn(count, 3, SIZE, SIZE, generator=seeded())
    labels = torch.randint(4, (count,), generator=seeded(1))
    partners = torch.randint(count, (count, 4), generator=seeded(2))
    corner = torch.randint(SIZE + 1, (2, count), generator=seeded(3))
    spare = SIZE - part_sizes(corner, SIZE)
    places = (torch.rand(2, count, 4, generator=seeded(4)) * (spare + 1)).long()
    found = patch(images, labels, partners, corner, places, 4)
    expected = pasted(images, labels, partners, corner, places)
    assert torch.equal(found[0], expected[0])
    torch.testing.assert_close(found[1], expected[1])


@pytest.mark.parametrize("beta", [0.05, 0.3, 1.0, 50.0])
def test_random_parts_stay_within_their_images(beta: float) -> None:
    """Each image is one colour: its target tells the shares of the colours."""
    count = 300
    labels = torch.arange(count)
    images = labels.float().view(-1, 1, 1, 1).expand(-1, 1, 8, 8)
    torch.manual_seed(0)
    mixed, targets = random_ricap(images, labels, RicapConfig(beta), count)
    torch.testing.assert_close(targets.sum(1), torch.ones(count))
    own = (mixed == images).float().mean((1, 2, 3))
    assert (own >= targets.diagonal() - 1e-6).all()
    for label in (0, 17, 299):
        shares = (mixed == label).float().mean((1, 2, 3))
        torch.testing.assert_close(shares, targets[:, label])
    if beta == 1:  # each image has its own draw
        assert len(targets.diagonal().unique()) > 20
    if beta == 50:  # nearly always in the middle
        assert abs(targets.diagonal().mean() - 0.25) < 0.05


def test_one_of_three_is_drawn_for_each_image() -> None:
    count = 3000
    config = AugmentationConfig(
        mixup=MixupConfig(1.0), cutmix=CutmixConfig(1.0, 1.0), ricap=RicapConfig(50.0)
    )
    labels = torch.arange(count)
    images = labels.float().view(-1, 1, 1, 1).expand(-1, 1, 8, 8)
    torch.manual_seed(0)
    _, targets = Augmentation(config, count).mix(images, labels)
    four = ((targets > 0).sum(1) > 2).float().mean()
    assert abs(four - 1 / 3) < 4 * (2 / 9 / count) ** 0.5
