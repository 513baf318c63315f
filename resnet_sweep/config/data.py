"""Schemas of the `data` and `augmentation` groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from resnet_sweep.config.errors import require, require_int, require_number, require_one_of

NUM_SCANS = 1797  # of digits
BACKGROUNDS = ("black", "white")
DEFAULT_BACKGROUND = "black"


@dataclass
class DataConfig:
    """What every data set has: where it lies and how its training part is divided.

    Args:
        root: folder of the files; `digits` needs none.
        val_size: a fraction below 1 or a count of images, taken from the training part
            first, class by class; 0: train on everything.
        split_seed: draws the split, apart from `seed`, so that fresh seeds keep it.
        train_subset: keep this many of the remaining training images; null: all.
    """

    name: str = "cifar10"
    root: Optional[str] = None
    val_size: float = 5000
    split_seed: int = 0
    train_subset: Optional[int] = None

    def __post_init__(self) -> None:
        require_number("data.val_size", self.val_size, 0)
        whole = self.val_size < 1 or self.val_size == int(self.val_size)
        require(whole, "data.val_size", self.val_size, "must be a fraction below 1 or a count")
        require_int("data.split_seed", self.split_seed, 0, 2**32 - 1)
        require_int("data.train_subset", self.train_subset, 1, or_null=True)


@dataclass
class CifarConfig(DataConfig):
    """CIFAR-10 or CIFAR-100 (Krizhevsky 2009), downloaded once into root.

    Args:
        download: fetch the archive where root lacks it.
    """

    root: Optional[str] = "data"
    download: bool = True


@dataclass
class DigitsConfig(DataConfig):
    """scikit-learn's 1,797 scans of handwritten digits, 8x8 scaled to 3x32x32.

    Args:
        test_size: count of images held out as the test set, the same for every seed.
    """

    name: str = "digits"
    val_size: float = 0.2
    test_size: int = 360

    def __post_init__(self) -> None:
        super().__post_init__()
        require_int("data.test_size", self.test_size, 10, 1700)


@dataclass
class ImageFolderConfig(DataConfig):
    """Folders `train/<class>/` and `test/<class>/` of image files.

    Args:
        image_size: side in pixels to which other images are resized.
        background: black or white, what transparent images are laid over.
        cache_dir: where decoded images are kept; null: the user's cache folder.
    """

    name: str = "image_folder"
    image_size: int = 32
    background: str = DEFAULT_BACKGROUND
    cache_dir: Optional[str] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require_int("data.image_size", self.image_size, 4, 512)
        require_one_of("data.background", self.background, BACKGROUNDS)


@dataclass
class ArraysConfig(DataConfig):
    """`train.npz` and `test.npz` (images, labels), or `train_images.npy` and so on.

    Images are uint8, [N, H, W, 3] or [N, 3, H, W]; labels are integers from 0, [N] or [N, 1].

    Args:
        num_classes: null: one more than the largest training label, and each class must have a
            training image.
    """

    name: str = "arrays"
    num_classes: Optional[int] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require_int("data.num_classes", self.num_classes, 2, or_null=True)


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
