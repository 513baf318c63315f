"""The operations of AutoAugment and its kin as parameters of three batched passes.

Computing each of 15 operations on the whole batch would waste 14 of them. Here an operation
is a row of numbers for an affine warp, a blend and a lookup table, whose defaults change
nothing, so that one run of the three passes gives every image its own operation.
"""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass
from enum import IntEnum

import torch
from torch import Tensor

from resnet_sweep.data.augmentation import color
from resnet_sweep.data.augmentation.geometry import warp

Choice = tuple[str, float]
"""Name and magnitude of an operation, both as in torchvision."""


class Target(IntEnum):
    """What a blend moves away from."""

    BLACK = 0
    MEAN = 1
    GREY = 2
    BLURRED = 3


_TARGETS = {
    "Brightness": Target.BLACK,
    "Contrast": Target.MEAN,
    "Color": Target.GREY,
    "Sharpness": Target.BLURRED,
}


@dataclass(frozen=True)
class Operation:
    """Parameters of the three passes; the defaults change nothing.

    Args:
        a, b, c, d, e, f: matrix of `geometry.warp`.
        blend: magnitude of `color.blend`, away from `target`.
        step, threshold: of `color.posterize_solarize_tables`.
        autocontrast, equalize: 1: use these tables instead.
    """

    a: float = 1.0
    b: float = 0.0
    c: float = 0.0
    d: float = 0.0
    e: float = 1.0
    f: float = 0.0
    blend: float = 0.0
    target: float = Target.BLACK
    step: float = 1.0
    threshold: float = 256.0
    autocontrast: float = 0.0
    equalize: float = 0.0


def operation(name: str, magnitude: float, size: int) -> Operation:
    """Translate torchvision's name and magnitude, for images of `size` x `size` pixels.

    Raises:
        ValueError: no operation of this name.
    """
    match name:
        case "Identity":
            return Operation()
        case "Brightness" | "Contrast" | "Color" | "Sharpness":
            return Operation(blend=magnitude, target=_TARGETS[name])
        case "Posterize":
            return Operation(step=2.0 ** (8 - int(magnitude)))
        case "Solarize":
            return Operation(threshold=magnitude)
        case "Invert":
            return Operation(threshold=0.0)
        case "AutoContrast":
            return Operation(autocontrast=1.0)
        case "Equalize":
            return Operation(equalize=1.0)
        # Shears leave the top or the left edge where it is.
        case "ShearX":
            return Operation(b=magnitude, c=magnitude * size / 2)
        case "ShearY":
            return Operation(d=magnitude, f=magnitude * size / 2)
        case "TranslateX":
            return Operation(c=-int(magnitude))
        case "TranslateY":
            return Operation(f=-int(magnitude))
        case "Rotate":
            angle = math.radians(magnitude)
            cos, sin = math.cos(angle), math.sin(angle)
            return Operation(a=cos, b=-sin, d=sin, e=cos)
        case _:
            raise ValueError(f"unknown operation {name!r}")


def operation_rows(choices: list[Choice], size: int) -> Tensor:
    """One row per choice, the fields of `Operation` as columns: float32 [choices, 12]."""
    return torch.tensor([astuple(operation(name, value, size)) for name, value in choices])


def apply_operations(images: Tensor, rows: Tensor) -> Tensor:
    """Apply one operation to each image.

    Args:
        images: uint8 [N, 3, S, S].
        rows: float32 [N, 12], see `operation_rows`.
    """
    images = warp(images, rows[:, :6])
    images = _blend_with_target(images, rows[:, 6], rows[:, 7])
    return color.look_up(images, _tables(images, *rows[:, 8:].unbind(1)))


def _blend_with_target(images: Tensor, magnitude: Tensor, target: Tensor) -> Tensor:
    kind = target[:, None, None, None]
    grey = color.grey(images)
    mean_or_black = torch.where(kind == Target.MEAN, color.grey_mean(grey), 0)
    flat = torch.where(kind == Target.GREY, grey, mean_or_black)
    other = torch.where(kind == Target.BLURRED, color.blurred(images), flat)
    return color.blend(images, other, magnitude)


def _tables(
    images: Tensor, step: Tensor, threshold: Tensor, autocontrast: Tensor, equalize: Tensor
) -> Tensor:
    pixels = images.flatten(2)
    low, high = pixels.amin(2, keepdim=True).long(), pixels.amax(2, keepdim=True).long()
    equalized = color.equalize_tables(color.histograms(images), high)
    stretched = color.autocontrast_tables(low, high)
    tables = color.posterize_solarize_tables(step, threshold)
    tables = torch.where(autocontrast[:, None, None] > 0, stretched, tables)
    return torch.where(equalize[:, None, None] > 0, equalized, tables)
