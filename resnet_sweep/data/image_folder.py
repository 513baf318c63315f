"""Image files in class folders, in torchvision's ImageFolder layout, and their pixels kept."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resnet_sweep.config.data import ImageFolderConfig
from resnet_sweep.config.errors import UserError, require
from resnet_sweep.data.dataset import Dataset, find_root, make_dataset
from resnet_sweep.data.decoding import FileSource
from resnet_sweep.data.image_files import (
    ImageFile,
    describe_left_out,
    list_class_folders,
    list_images,
    list_loose,
)
from resnet_sweep.data.labels import describe_number_order
from resnet_sweep.system.atomic import replacing
from resnet_sweep.system.console import track

logger = logging.getLogger(__name__)

_CHUNK = 256  # images decoded at once


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
    cache = _PixelCache(root, config, files)
    kept = cache.read((len(files), 3, size, size))
    if kept is None and (order := describe_number_order(names)):
        logger.warning("%s", order)
    pixels, fingerprint = kept or (_decode_all(files, config), None)
    train = (pixels[: len(train_files)], train_labels)
    test = (pixels[len(train_files) :], test_labels)
    data = make_dataset(train, test, names, fingerprint)
    if fingerprint is None:
        cache.write(pixels, data.fingerprint)
    return data


def find_class_names(config: ImageFolderConfig) -> list[str]:
    """Return the names of the folders in `train/`, sorted: their positions are the labels."""
    folder = _find_root(config) / "train"
    names = list_class_folders(str(folder))
    if len(names) < 2:
        found = f"only {names[0]}" if names else "none"
        raise UserError(f"{folder}: must hold a folder for each of at least 2 classes, has {found}")
    return names


def _find_root(config: ImageFolderConfig) -> Path:
    allowed = "must be a folder with train/<class>/ and test/<class>/ folders of images"
    root = find_root(config, allowed).absolute()
    for part in ("train", "test"):
        has_part = (root / part).is_dir()
        require(has_part, "data.root", config.root, f"has no folder {part}; {allowed}")
    return root


def _check_same_classes(root: Path, train_names: Sequence[str]) -> None:
    train, test = set(train_names), set(list_class_folders(str(root / "test")))
    sides = {"train": sorted(train - test), "test": sorted(test - train)}
    lists = [f"only in {part}: {', '.join(names)}" for part, names in sides.items() if names]
    if lists:
        raise UserError(f"{root}: the class folders of train and test differ ({'; '.join(lists)})")


def _list_part(
    folder: Path, class_names: Sequence[str]
) -> tuple[list[ImageFile], NDArray[np.int64]]:
    """Return the images of all classes, in the order of torchvision's ImageFolder, and labels.

    What is left out is told.
    """
    files: list[ImageFile] = []
    counts: list[int] = []
    loose, left_out = list_loose(str(folder))
    for name in class_names:
        found = list_images(str(folder / name))
        left_out += found.left_out
        if not found.images:
            others = f"; {describe_left_out(found.left_out)}" if found.left_out else ""
            raise UserError(f"{folder / name}: must hold an image that Pillow reads{others}")
        files += found.images
        counts.append(len(found.images))
    if left_out:
        logger.warning("%s", describe_left_out(left_out))
    if loose:
        beside = describe_left_out([file.path for file in loose], "beside the class folders")
        logger.warning("%s", beside)
    return files, np.repeat(np.arange(len(class_names), dtype=np.int64), counts)


def _decode_all(files: Sequence[ImageFile], config: ImageFolderConfig) -> NDArray[np.uint8]:
    source = FileSource([file.path for file in files], config.image_size, config.background)
    pixels = np.empty((len(files), 3, config.image_size, config.image_size), dtype=np.uint8)
    for start in track(range(0, len(files), _CHUNK), "Reading images"):
        chunk = range(start, min(start + _CHUNK, len(files)))
        pixels[chunk.start : chunk.stop] = source.read(chunk)
    for change in source.changes():
        logger.warning("%s", change)
    return pixels


class _PixelCache:
    """The decoded images of one folder at one size and background: `<key>.npy`, `<key>.json`.

    The manifest holds how images were decoded, the digest of the list of files, the fingerprint
    of the data set, and a checksum of both pixels and fingerprint; where one does not fit, there
    is no cache.
    """

    _FORMAT = 3  # to be raised when decoding changes

    def __init__(self, root: Path, config: ImageFolderConfig, files: Sequence[ImageFile]) -> None:
        import PIL

        name = f"{root}\0{config.image_size}\0{config.background}"
        key = _digest(name)
        user_cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "resnet_sweep")
        folder = user_cache if config.cache_dir is None else config.cache_dir
        self.folder = Path(os.path.expanduser(folder)).absolute()
        self.pixels_path = self.folder / f"{key}.npy"
        self.manifest_path = self.folder / f"{key}.json"
        # Changes when a file is added, removed, renamed or changed.
        lines = (f"{folder}/{name}\0{size}\0{mtime}\0" for folder, name, size, mtime in files)
        self._source = {
            "format": self._FORMAT,
            "pillow": PIL.__version__,
            "files": _digest("".join(lines)),
        }

    def read(self, shape: tuple[int, ...]) -> tuple[NDArray[np.uint8], str] | None:
        """Return the pixels, uint8 of this shape, and the fingerprint; None: decode again."""
        try:
            manifest = json.loads(self.manifest_path.read_bytes())
            if any(manifest.get(name) != value for name, value in self._source.items()):
                return None
            # Pages of the file, which all workers of a machine share; writes stay private.
            pixels = np.load(self.pixels_path, mmap_mode="c", allow_pickle=False)
            fingerprint = str(manifest["fingerprint"])
            checksum = _compute_checksum(pixels, fingerprint)
        except FileNotFoundError:
            return None
        except Exception as error:  # whatever a torn file makes the readers raise
            logger.warning("cache %s is damaged (%s): rebuilt", self.pixels_path, error)
            return None
        is_whole = pixels.dtype == np.uint8 and pixels.shape == shape
        if not is_whole or checksum != manifest.get("checksum"):
            logger.warning("cache %s is damaged: rebuilt", self.pixels_path)
            return None
        return pixels, fingerprint

    def write(self, pixels: NDArray[np.uint8], fingerprint: str) -> None:
        """Keep the pixels; where that fails, say so and go on."""
        checksum = _compute_checksum(pixels, fingerprint)
        manifest = {**self._source, "fingerprint": fingerprint, "checksum": checksum}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with replacing(self.pixels_path) as file:
                np.save(file, pixels, allow_pickle=False)
            with replacing(self.manifest_path) as file:
                file.write(json.dumps(manifest, indent=2).encode())
        except OSError as error:
            logger.warning("no cache of the decoded images, every run decodes them: %s", error)


def _digest(text: str) -> str:
    return hashlib.blake2b(os.fsencode(text), digest_size=16).hexdigest()


def _compute_checksum(pixels: NDArray[np.uint8], fingerprint: str) -> int:
    return zlib.crc32(fingerprint.encode(), zlib.crc32(pixels.data))
