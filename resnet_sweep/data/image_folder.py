"""Image files in class folders, in torchvision's ImageFolder layout."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resnet_sweep.config.data import ImageFolderConfig
from resnet_sweep.config.errors import ConfigError, UserError, require
from resnet_sweep.data.dataset import Dataset, make_dataset
from resnet_sweep.data.image_files import IMG_EXTENSIONS, ImageFile, decode, list_images, scan
from resnet_sweep.data.pixel_cache import PixelCache
from resnet_sweep.system.console import track

logger = logging.getLogger(__name__)

_PARTS = ("train", "test")


def load_image_folder(config: ImageFolderConfig) -> Dataset:
    """Read `train/<class>/*` and `test/<class>/*`, from the cache if no file has changed.

    Images become RGB and config.image_size pixels square.

    Raises:
        UserError: names the folder or the file that is wrong.
    """
    root, names = _find_root(config), find_class_names(config)
    _check_same_classes(root, names)
    train_files, train_labels = _list_part(root / "train", names)
    test_files, test_labels = _list_part(root / "test", names)
    files, size = train_files + test_files, config.image_size
    cache = PixelCache(config, _digest_files(files))
    pixels, fingerprint = cache.read((len(files), 3, size, size)) or (
        _decode_all(files, size),
        None,
    )
    train = (pixels[: len(train_files)], train_labels)
    test = (pixels[len(train_files) :], test_labels)
    data = make_dataset(train, test, names, fingerprint)
    if fingerprint is None:
        cache.write(pixels, data.fingerprint)
    return data


def find_class_names(config: ImageFolderConfig) -> list[str]:
    """Return the names of the folders in `train/`, sorted: their positions are the labels."""
    folder = _find_root(config) / "train"
    names = _list_class_folders(folder)
    if len(names) < 2:
        found = f"only {names[0]}" if names else "none"
        raise UserError(f"{folder}: must hold a folder for each of at least 2 classes, has {found}")
    return names


def _find_root(config: ImageFolderConfig) -> Path:
    allowed = "must be a folder with train/<class>/ and test/<class>/ folders of images"
    if config.root is None:
        raise ConfigError("data.root", None, allowed)
    root = Path(os.path.expanduser(config.root)).absolute()
    require(root.is_dir(), "data.root", config.root, f"no such folder; {allowed}")
    for part in _PARTS:
        has_part = (root / part).is_dir()
        require(has_part, "data.root", config.root, f"has no folder {part}; {allowed}")
    return root


def _list_class_folders(folder: Path) -> list[str]:
    return sorted(entry.name for entry in scan(str(folder)) if entry.is_dir())


def _check_same_classes(root: Path, train_names: Sequence[str]) -> None:
    train, test = set(train_names), set(_list_class_folders(root / "test"))
    sides = {"train": sorted(train - test), "test": sorted(test - train)}
    lists = [f"only in {part}: {', '.join(names)}" for part, names in sides.items() if names]
    if lists:
        raise UserError(f"{root}: the class folders of train and test differ ({'; '.join(lists)})")


def _list_part(
    folder: Path, class_names: Sequence[str]
) -> tuple[list[ImageFile], NDArray[np.int64]]:
    """Return the images of all classes, in the order of torchvision's ImageFolder, and labels."""
    files: list[ImageFile] = []
    counts: list[int] = []
    for name in class_names:
        found = sorted(list_images(str(folder / name)))
        if not found:
            raise UserError(f"{folder / name}: must hold an image ({', '.join(IMG_EXTENSIONS)})")
        files += found
        counts.append(len(found))
    return files, np.repeat(np.arange(len(class_names), dtype=np.int64), counts)


def _digest_files(files: Sequence[ImageFile]) -> str:
    """Return a digest that changes when a file is added, removed, renamed or changed."""
    lines = (f"{folder}/{name}\0{size}\0{mtime}\0" for folder, name, size, mtime in files)
    return hashlib.blake2b(os.fsencode("".join(lines)), digest_size=16).hexdigest()


def _decode_all(files: Sequence[ImageFile], size: int) -> NDArray[np.uint8]:
    pixels = np.empty((len(files), 3, size, size), dtype=np.uint8)
    resized: list[str] = []
    for index, file in enumerate(track(files, "Reading images")):
        image = decode(file.path, size)
        pixels[index] = image.pixels.transpose(2, 0, 1)
        if image.was_resized:
            resized.append(file.path)
    if resized:
        message = "%d of %d images resized to %dx%d, the first: %s"
        logger.warning(message, len(resized), len(files), size, size, resized[0])
    return pixels
