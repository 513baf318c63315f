"""Image files, with or without class folders, decoded a few at a time."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resnet_sweep.config.errors import UserError
from resnet_sweep.data.custom.columns import check_distinct, find_class
from resnet_sweep.data.custom.custom_set import CustomSet, make_custom_set
from resnet_sweep.data.image_files import (
    IMG_EXTENSIONS,
    ImageFile,
    decode,
    is_folder,
    list_images,
    scan,
)

MAX_THREADS = 8
# Up to this many bytes, handing a file to a thread costs more than the thread gains.
SMALL_FILE = 16 * 1024
IGNORED_FOLDERS = ("__MACOSX",)


class FileSource:
    """Images in files.

    Args:
        size: side S of the images that are read.
    """

    def __init__(self, paths: Sequence[str], size: int) -> None:
        self.paths, self.size = paths, size
        self.was_resized = np.zeros(len(paths), bool)
        self.was_grey = np.zeros(len(paths), bool)
        threads = min(MAX_THREADS, os.cpu_count() or 1)
        self.pool = ThreadPoolExecutor(threads, "decode")

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, indices: Sequence[int]) -> NDArray[np.uint8]:
        from PIL import Image

        images = np.empty((len(indices), 3, self.size, self.size), np.uint8)
        with warnings.catch_warnings():  # around all threads: the filters are the process's
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            read = self.pool.map if self._is_large(indices[0]) else map
            for place, pixels in enumerate(read(self._read_one, indices)):
                images[place] = pixels
        return images

    def changes(self) -> list[str]:
        found, count = [], len(self)
        for flags, told in (
            (self.was_grey, "are grey: taken as RGB"),
            (self.was_resized, f"resized to {self.size}x{self.size}"),
        ):
            if flags.any():
                first = self.paths[int(flags.argmax())]
                found.append(f"{flags.sum()} of {count} images {told}, the first: {first}")
        return found

    def _is_large(self, index: int) -> bool:
        try:
            return os.path.getsize(self.paths[index]) > SMALL_FILE
        except OSError:
            return False  # reading it says why

    def _read_one(self, index: int) -> NDArray[np.uint8]:
        try:
            image = decode(self.paths[index], self.size)
        except UserError as error:
            raise UserError(f"{error}: image {index + 1} of {len(self)}") from None
        self.was_resized[index] = image.was_resized
        self.was_grey[index] = image.was_grey
        return image.pixels.transpose(2, 0, 1)


def read_image_file(path: Path, size: int) -> CustomSet:
    """Read a single image."""
    return make_custom_set(path, FileSource([str(path)], size), "one image file", ids=(path.name,))


def read_image_folder(
    root: Path, folders: Sequence[str], class_names: Sequence[str], size: int
) -> CustomSet:
    """Read `root/*` or, where there are folders of images, `root/<class>/*`.

    The IDs are the paths within root.
    """
    paths: list[str] = []
    labels: list[int] = []
    places = {name: place for place, name in enumerate(class_names)}
    for name in folders or [""]:
        inside = list_images(str(root / name)) if folders else _list_loose(root)
        found = sorted(file.path for file in inside if not file.name.startswith("."))
        paths += found
        if folders:
            labels += [_find_label(root / name, places)] * len(found)
    ids = [_printable(os.path.relpath(path, root)) for path in paths]
    check_distinct(ids, f"{root}: ID")
    known = np.array(labels, np.int64) if folders else None
    line = f"image folder, {len(folders)} class folders" if folders else "image folder, no classes"
    return make_custom_set(root, FileSource(paths, size), line, known, tuple(ids))


def find_image_folders(root: Path) -> tuple[bool, list[str]]:
    """Return whether images lie in `root` itself, and which of its folders hold some."""
    loose, folders = False, []
    for entry in scan(str(root)):
        if entry.name.startswith(".") or entry.name in IGNORED_FOLDERS:
            continue
        if is_folder(entry):
            if list_images(entry.path):
                folders.append(entry.name)
        elif entry.name.lower().endswith(IMG_EXTENSIONS):
            loose = True
    return loose, sorted(folders)


def _list_loose(root: Path) -> list[ImageFile]:
    return [file for file in list_images(str(root)) if file.folder == str(root)]


def _find_label(folder: Path, places: dict[str, int]) -> int:
    try:
        return find_class(folder.name, places, str(folder))
    except UserError as error:
        inner = [name for name in find_image_folders(folder)[1] if name in places]
        hint = f"; is input={folder} meant?" if inner else ""
        raise UserError(f"{error}{hint}") from None


def _printable(path: str) -> str:
    """Return a path as text that can be written as UTF-8."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
