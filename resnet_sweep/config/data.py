"""Schemas of the `data` group."""

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
        require(self.root != "", "data.root", "''", "must be the name of a folder")
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
        require(self.cache_dir != "", "data.cache_dir", "''", "must be the name of a folder")
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
