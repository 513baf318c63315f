"""Image files in class folders, in torchvision's ImageFolder layout."""

from __future__ import annotations

import hashlib
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from stat import S_ISREG
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from resnet_sweep.config.data import ImageFolderConfig
from resnet_sweep.data.dataset import Dataset, make_dataset
from resnet_sweep.data.pixel_cache import PixelCache
from resnet_sweep.errors import ConfigError, UserError, require

logger = logging.getLogger(__name__)

# Those of torchvision.datasets.folder.IMG_EXTENSIONS; importing torchvision takes a second or two.
IMG_EXTENSIONS = (
    ".jpg",
    ".jpeg",
    ".png",
    ".ppm",
    ".bmp",
    ".pgm",
    ".tif",
    ".tiff",
    ".webp",
)
_PARTS = ("train", "test")


class _ImageFile(NamedTuple):
    folder: str
    name: str
    size: int
    mtime_ns: int

    @property
    def path(self) -> str:
        return os.path.join(self.folder, self.name)


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
    return sorted(entry.name for entry in _scan(str(folder)) if entry.is_dir())


def _scan(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise UserError(f"{folder}: cannot be read ({error.strerror})") from None


def _check_same_classes(root: Path, train_names: Sequence[str]) -> None:
    train, test = set(train_names), set(_list_class_folders(root / "test"))
    sides = {"train": sorted(train - test), "test": sorted(test - train)}
    lists = [f"only in {part}: {', '.join(names)}" for part, names in sides.items() if names]
    if lists:
        raise UserError(f"{root}: the class folders of train and test differ ({'; '.join(lists)})")


def _list_part(
    folder: Path, class_names: Sequence[str]
) -> tuple[list[_ImageFile], NDArray[np.int64]]:
    """Return the images of all classes, in the order of torchvision's ImageFolder, and labels."""
    files: list[_ImageFile] = []
    counts: list[int] = []
    for name in class_names:
        found = sorted(_list_images(str(folder / name)))
        if not found:
            raise UserError(f"{folder / name}: must hold an image ({', '.join(IMG_EXTENSIONS)})")
        files += found
        counts.append(len(found))
    return files, np.repeat(np.arange(len(class_names), dtype=np.int64), counts)


def _list_images(folder: str) -> list[_ImageFile]:
    found: list[_ImageFile] = []
    for entry in _scan(folder):
        if _is_folder(entry):
            found += _list_images(entry.path)
        elif entry.name.lower().endswith(IMG_EXTENSIONS):
            found.append(_describe_file(entry, folder))
    return found


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError as error:  # a loop of symbolic links
        raise UserError(f"{entry.path}: cannot be read ({error.strerror})") from None


def _describe_file(entry: os.DirEntry[str], folder: str) -> _ImageFile:
    try:
        stat = entry.stat()
    except OSError as error:
        raise UserError(f"{entry.path}: cannot be read ({error.strerror})") from None
    if not S_ISREG(stat.st_mode):
        raise UserError(f"{entry.path}: must be a regular file")
    return _ImageFile(folder, entry.name, stat.st_size, stat.st_mtime_ns)


def _digest_files(files: Sequence[_ImageFile]) -> str:
    """Return a digest that changes when a file is added, removed, renamed or changed."""
    lines = (f"{folder}/{name}\0{size}\0{mtime}\0" for folder, name, size, mtime in files)
    return hashlib.blake2b(os.fsencode("".join(lines)), digest_size=16).hexdigest()


def _decode_all(files: Sequence[_ImageFile], size: int) -> NDArray[np.uint8]:
    from rich.console import Console
    from rich.progress import track

    pixels = np.empty((len(files), 3, size, size), dtype=np.uint8)
    resized: list[str] = []
    progress = track(
        files,
        description="Reading images",
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
    )
    for index, file in enumerate(progress):
        image, was_resized = _decode(file.path, size)
        pixels[index] = image.transpose(2, 0, 1)
        if was_resized:
            resized.append(file.path)
    if resized:
        message = "%d of %d images resized to %dx%d, the first: %s"
        logger.warning(message, len(resized), len(files), size, size, resized[0])
    return pixels


def _decode(path: str, size: int) -> tuple[NDArray[np.uint8], bool]:
    """Return the image, uint8 [size, size, 3], and whether it had another size."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            deep = image.mode.startswith(("I", "F"))
            rgb = None if deep else image.convert("RGB")
    except Exception as error:  # Pillow's readers let through what a damaged file makes them raise
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: damaged, not an image, or unreadable ({reason})") from None
    if rgb is None:
        raise UserError(f"{path}: must have 8 bits per channel (has Pillow's mode {image.mode})")
    if rgb.size == (size, size):
        return np.asarray(rgb), False
    return np.asarray(rgb.resize((size, size), Image.Resampling.BILINEAR)), True
