"""Schemas of the `augmentation` group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from resnet_sweep.config.errors import require, require_int, require_number, require_one_of


@dataclass
class CropFlipConfig:
    """Random crop of the zero-padded image and random horizontal flip.

    Args:
        alternate_flip: in the first epoch each image is mirrored or not, at random; from then
            on every epoch shows it the other way round (Jordan 2024, arXiv:2404.00498, section
            3.6, "alternating flip").
    """

    padding: int = 4
    flip_probability: float = 0.5
    alternate_flip: bool = False

    def __post_init__(self) -> None:
        require_int("augmentation.crop_flip.padding", self.padding, 0, 64)
        field = "augmentation.crop_flip.flip_probability"
        require_number(field, self.flip_probability, 0, 1)
        fair = not self.alternate_flip or self.flip_probability == 0.5
        allowed = "must be 0.5 where augmentation.crop_flip.alternate_flip is on"
        require(fair, field, self.flip_probability, allowed)


@dataclass
class CutoutConfig:
    """A square around a random pixel set to the mean colour (arXiv:1708.04552)."""

    size: int = 16

    def __post_init__(self) -> None:
        require_int("augmentation.cutout.size", self.size, 1, 512)


@dataclass
class RandomErasingConfig:
    """A random rectangle set to the mean colour (arXiv:1708.04896, algorithm 1).

    Args:
        min_area, max_area: share of the image.
        min_aspect: smallest height over width; the largest is its inverse.
    """

    probability: float = 0.5
    min_area: float = 0.02
    max_area: float = 0.33
    min_aspect: float = 0.3

    def __post_init__(self) -> None:
        prefix = "augmentation.random_erasing"
        require_number(f"{prefix}.probability", self.probability, 0, 1)
        require_number(f"{prefix}.min_area", self.min_area, 0, self.max_area, open_low=True)
        require_number(f"{prefix}.max_area", self.max_area, 0, 1, open_low=True)
        require_number(f"{prefix}.min_aspect", self.min_aspect, 0, 1, open_low=True)


@dataclass
class ColorJitterConfig:
    """Brightness, contrast, saturation and hue, in this order, as torchvision's ColorJitter."""

    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.1

    def __post_init__(self) -> None:
        for name in ("brightness", "contrast", "saturation"):
            require_number(f"augmentation.color_jitter.{name}", getattr(self, name), 0, 1)
        require_number("augmentation.color_jitter.hue", self.hue, 0, 0.5)


@dataclass
class RandAugmentConfig:
    """num_ops random operations of one magnitude (arXiv:1909.13719)."""

    num_ops: int = 2
    magnitude: int = 9

    def __post_init__(self) -> None:
        require_int("augmentation.randaugment.num_ops", self.num_ops, 1, 10)
        require_int("augmentation.randaugment.magnitude", self.magnitude, 0, 30)


@dataclass
class TrivialAugmentConfig:
    """One random operation of random magnitude (arXiv:2103.10158, wide space)."""


@dataclass
class AutoAugmentConfig:
    """A learned policy of pairs of operations (arXiv:1805.09501)."""

    policy: str = "cifar10"

    def __post_init__(self) -> None:
        field = "augmentation.autoaugment.policy"
        require_one_of(field, self.policy, ("cifar10", "imagenet", "svhn"))


@dataclass
class MixupConfig:
    """Convex combinations of pairs of images and labels (arXiv:1710.09412)."""

    alpha: float = 0.2

    def __post_init__(self) -> None:
        require_number("augmentation.mixup.alpha", self.alpha, 0, open_low=True)


@dataclass
class CutmixConfig:
    """A rectangle of another image and its share of the label (arXiv:1905.04899)."""

    alpha: float = 1.0
    probability: float = 0.5

    def __post_init__(self) -> None:
        require_number("augmentation.cutmix.alpha", self.alpha, 0, open_low=True)
        require_number("augmentation.cutmix.probability", self.probability, 0, 1)


@dataclass
class RicapConfig:
    """Four images cropped and patched into one, labels by area (arXiv:1811.09030).

    Takahashi, Matsubara and Uehara 2018; sizes and places are drawn for each image.

    Args:
        beta: of the Beta(beta, beta) distribution of the corner's place.
    """

    beta: float = 0.3

    def __post_init__(self) -> None:
        require_number("augmentation.ricap.beta", self.beta, 0, open_low=True)


@dataclass
class AugmentationConfig:
    """What changes training images at random, in the order of the fields; null: not used.

    The order of the command line does not count. Where several of mixup, cutmix and ricap are
    on, each image draws one of them.
    """

    crop_flip: Optional[CropFlipConfig] = None
    autoaugment: Optional[AutoAugmentConfig] = None
    randaugment: Optional[RandAugmentConfig] = None
    trivialaugment: Optional[TrivialAugmentConfig] = None
    color_jitter: Optional[ColorJitterConfig] = None
    cutout: Optional[CutoutConfig] = None
    random_erasing: Optional[RandomErasingConfig] = None
    mixup: Optional[MixupConfig] = None
    cutmix: Optional[CutmixConfig] = None
    ricap: Optional[RicapConfig] = None
