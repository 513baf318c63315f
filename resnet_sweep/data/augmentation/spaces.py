"""Which operations with which magnitudes RandAugment, TrivialAugment and AutoAugment draw.

The spaces are torchvision's. The tables of a space are kept per image size and device: the first
call on a device copies them there, so it must come before a CUDA graph is captured.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from resnet_sweep.config.augmentation import AutoAugmentConfig, RandAugmentConfig
from resnet_sweep.data.augmentation.operations import Choice, apply_operations, operation_rows

NUM_BINS = 31
AUTOAUGMENT_BINS = 10
OPERATIONS = (
    *("Identity", "ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate", "Brightness"),
    *("Color", "Contrast", "Sharpness", "Posterize", "Solarize", "AutoContrast", "Equalize"),
)
UNSIGNED = ("Identity", "Posterize", "Solarize", "AutoContrast", "Equalize", "Invert")

Step = tuple[str, float, int | None]
"""Operation, its probability and the index of its magnitude, where it has one."""

Space = dict[str, float]
"""The largest magnitude of each operation that comes in many: of shears and enhancements a share,
of translations pixels, of rotations degrees, of posterizing bits."""


def _space(shear: float, translate: float, rotate: float, enhance: float, posterize: int) -> Space:
    """Return what the operations of one kind share."""
    moves = {"ShearX": shear, "ShearY": shear, "TranslateX": translate, "TranslateY": translate}
    colors = dict.fromkeys(("Brightness", "Color", "Contrast", "Sharpness"), enhance)
    return {**moves, **colors, "Rotate": rotate, "Posterize": posterize}


def standard_space(size: int) -> Space:
    """The space of RandAugment and AutoAugment for images of `size` x `size` pixels."""
    return _space(shear=0.3, translate=150 / 331 * size, rotate=30.0, enhance=0.9, posterize=4)


WIDE_SPACE = _space(shear=0.99, translate=32.0, rotate=135.0, enhance=0.99, posterize=6)


def magnitudes(name: str, space: Space, bins: int) -> list[float]:
    """The magnitudes of an operation from the weakest to the strongest, without sign."""
    if name == "Posterize":
        values = 8 - (torch.arange(bins) / ((bins - 1) / space[name])).round()
    elif name == "Solarize":
        values = torch.linspace(255.0, 0.0, bins)
    else:
        values = torch.linspace(0.0, space.get(name, 0.0), bins)
    return values.tolist()


def _both_signs(name: str, magnitude: float) -> list[Choice]:
    return [(name, magnitude), (name, magnitude if name in UNSIGNED else -magnitude)]


def randaugment_choices(magnitude: int, size: int) -> list[Choice]:
    """The equally likely choices of one RandAugment step; `magnitude` is an index below 31."""
    space = standard_space(size)
    strengths = [(name, magnitudes(name, space, NUM_BINS)[magnitude]) for name in OPERATIONS]
    return [choice for name, value in strengths for choice in _both_signs(name, value)]


def trivialaugment_choices() -> list[Choice]:
    """The equally likely choices of TrivialAugment's wide space."""
    return [
        choice
        for name in OPERATIONS
        for value in magnitudes(name, WIDE_SPACE, NUM_BINS)
        for choice in _both_signs(name, value)
    ]


@cache
def autoaugment_policies(policy: str) -> list[tuple[Step, Step]]:
    """The sub-policies that AutoAugment found (arXiv:1805.09501, tables 7 to 9)."""
    from torchvision import transforms  # type: ignore[import-untyped]  # slow to import

    found: list[tuple[Step, Step]]
    found = transforms.AutoAugment(transforms.AutoAugmentPolicy(policy)).policies
    return found


def autoaugment_choices(policy: str, size: int) -> list[Choice]:
    """Both signs of both steps of each sub-policy, the sign running fastest."""
    space = standard_space(size)
    return [
        choice
        for steps in autoaugment_policies(policy)
        for name, _, index in steps
        for choice in _both_signs(name, magnitudes(name, space, AUTOAUGMENT_BINS)[index or 0])
    ]


@cache
def _randaugment_rows(magnitude: int, size: int, device: torch.device) -> Tensor:
    return operation_rows(randaugment_choices(magnitude, size), size).to(device)


@cache
def _trivialaugment_rows(size: int, device: torch.device) -> Tensor:
    return operation_rows(trivialaugment_choices(), size).to(device)


@cache
def _autoaugment_tables(policy: str, size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Rows, float32 [sub-policies, 2 steps, 2 signs, columns], and the steps' probabilities."""
    rows = operation_rows(autoaugment_choices(policy, size), size)
    chances = [[chance for _, chance, _ in steps] for steps in autoaugment_policies(policy)]
    return rows.view(len(chances), 2, 2, -1).to(device), torch.tensor(chances, device=device)


def _random_rows(rows: Tensor, count: int) -> Tensor:
    return rows[torch.randint(len(rows), (count,), device=rows.device)]


def randaugment(images: Tensor, config: RandAugmentConfig) -> Tensor:
    """Apply RandAugment (arXiv:1909.13719) to uint8 [N, 3, S, S]."""
    rows = _randaugment_rows(config.magnitude, images.shape[-1], images.device)
    for _ in range(config.num_ops):
        images = apply_operations(images, _random_rows(rows, len(images)))
    return images


def trivialaugment(images: Tensor) -> Tensor:
    """Apply TrivialAugment (arXiv:2103.10158, wide space) to uint8 [N, 3, S, S]."""
    rows = _trivialaugment_rows(images.shape[-1], images.device)
    return apply_operations(images, _random_rows(rows, len(images)))


def autoaugment_rows(policy: str, draws: Tensor, chances: Tensor, size: int) -> Tensor:
    """Look up the two steps that each image takes.

    Args:
        draws: int64 [3, N], sub-policy and the two signs (0 or 1).
        chances: float32 [N, 2], a step is taken where its chance is below its probability.

    Returns:
        float32 [N, 2, columns], see `operation_rows`.
    """
    device = draws.device
    policies, *signs = draws.unbind()
    rows, probabilities = _autoaugment_tables(policy, size, device)
    steps = torch.stack([rows[policies, step, sign] for step, sign in enumerate(signs)], dim=1)
    taken = chances < probabilities[policies]
    return torch.where(taken[:, :, None], steps, _identity_row(device))


@cache
def _identity_row(device: torch.device) -> Tensor:
    return operation_rows([("Identity", 0.0)], size=1).to(device)


def autoaugment(images: Tensor, config: AutoAugmentConfig) -> Tensor:
    """Apply AutoAugment (arXiv:1805.09501) to uint8 [N, 3, S, S]."""
    count, device = len(images), images.device
    sub_policies = torch.randint(
        len(autoaugment_policies(config.policy)), (1, count), device=device
    )
    signs = torch.randint(2, (2, count), device=device)
    chances = torch.rand(count, 2, device=device)
    draws = torch.cat((sub_policies, signs))
    for rows in autoaugment_rows(config.policy, draws, chances, images.shape[-1]).unbind(1):
        images = apply_operations(images, rows)
    return images
