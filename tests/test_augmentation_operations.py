"""Every operation and magnitude against torchvision's, image by image, to the last bit."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.autoaugment import _apply_op

from resnet_sweep.data.augmentation.geometry import warp
from resnet_sweep.data.augmentation.operations import (
    Choice,
    apply_operations,
    operation,
    operation_rows,
)
from resnet_sweep.data.augmentation.spaces import (
    autoaugment_choices,
    randaugment_choices,
    trivialaugment_choices,
)


def assorted_images(count: int, size: int) -> Tensor:
    """Noise, few levels, a narrow range, one flat channel and one flat colour, in turn."""
    generator = torch.Generator().manual_seed(3)
    noise = torch.randint(256, (count, 3, size, size), generator=generator, dtype=torch.uint8)
    noise[1::5] = noise[1::5] // 128 * 200
    noise[2::5] = noise[2::5] // 4 + 90
    noise[3::5, 1] = 77
    noise[4::10] = noise[4::10, :, :1, :1]
    return noise


def by_torchvision(image: Tensor, choice: Choice) -> Tensor:
    return _apply_op(image, *choice, interpolation=InterpolationMode.NEAREST, fill=None)


def between_two_pixels(images: Tensor, rows: Tensor) -> Tensor:
    """Where an affine map hits the border of two pixels: bool [N, 1, S, S].

    There torchvision's answer depends on how a processor rounds its matrix product.
    """
    x, y = torch.eye(6)[2] * 1e-5, torch.eye(6)[5] * 1e-5
    moved = [warp(images, rows[:, :6] + nudge) for nudge in (x + y, x - y, -x + y, -x - y)]
    return (torch.stack(moved) != moved[0]).any(0).any(1, keepdim=True)


def assert_like_torchvision(choices: list[Choice], size: int) -> None:
    images = assorted_images(len(choices), size)
    rows = operation_rows(choices, size)
    results = apply_operations(images, rows)
    expected = torch.stack([by_torchvision(i, c) for i, c in zip(images, choices, strict=True)])
    doubtful = between_two_pixels(images, rows)
    assert doubtful.float().mean() < 0.01
    wrong = ((results != expected) & ~doubtful).flatten(1).any(1)
    assert [choice for choice, is_wrong in zip(choices, wrong, strict=True) if is_wrong] == []


@pytest.mark.parametrize("size", [32, 17])
def test_randaugment_operations(size: int) -> None:
    choices = [choice for m in range(31) for choice in randaugment_choices(m, size)]
    assert_like_torchvision(choices, size)


@pytest.mark.parametrize("size", [32, 28])
def test_trivialaugment_operations(size: int) -> None:
    assert_like_torchvision(trivialaugment_choices(), size)


@pytest.mark.parametrize("policy", ["cifar10", "imagenet", "svhn"])
def test_autoaugment_operations(policy: str) -> None:
    assert_like_torchvision(autoaugment_choices(policy, 32), 32)


@pytest.mark.parametrize(
    "name", ["AutoContrast", "Equalize", "Invert", "Contrast", "Color", "Sharpness"]
)
def test_on_images_of_every_kind(name: str) -> None:
    assert_like_torchvision([(name, -0.7)] * 10, 12)


def test_two_steps_in_a_row() -> None:
    choices = randaugment_choices(9, 32)
    order = torch.randperm(len(choices), generator=torch.Generator().manual_seed(0))
    rows = operation_rows(choices, 32)
    images = assorted_images(len(choices), 32)
    results = apply_operations(apply_operations(images, rows), rows[order])
    for i, image in enumerate(images):
        expected = by_torchvision(by_torchvision(image, choices[i]), choices[order[i]])
        assert torch.equal(results[i], expected), (choices[i], choices[order[i]])


def test_smallest_images() -> None:
    assert_like_torchvision([("Sharpness", 0.9), ("Rotate", 30.0), ("Equalize", 0.0)], 4)


def test_unknown_operation() -> None:
    with pytest.raises(ValueError, match="unknown operation 'Blur'"):
        operation("Blur", 1.0, 32)
