"""Image files on disk: which there are, and their pixels."""

from __future__ import annotations

import os
from stat import S_ISREG
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from resnet_sweep.config.errors import UserError, why

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

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
GREY_MODES = ("1", "L", "LA")


class ImageFile(NamedTuple):
    folder: str
    name: str
    size: int
    mtime_ns: int

    @property
    def path(self) -> str:
        return os.path.join(self.folder, self.name)


class Decoded(NamedTuple):
    """One image as RGB.

    Args:
        pixels: uint8 [size, size, 3].
        was_resized, was_grey: what had to be changed.
    """

    pixels: NDArray[np.uint8]
    was_resized: bool
    was_grey: bool


def scan(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise UserError(f"{folder}: cannot be read ({error.strerror})") from None


def list_images(folder: str) -> list[ImageFile]:
    found: list[ImageFile] = []
    for entry in scan(folder):
        if is_folder(entry):
            found += list_images(entry.path)
        elif entry.name.lower().endswith(IMG_EXTENSIONS):
            found.append(describe_file(entry, folder))
    return found


def is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError as error:  # a loop of symbolic links
        raise UserError(f"{entry.path}: cannot be read ({error.strerror})") from None


def describe_file(entry: os.DirEntry[str], folder: str) -> ImageFile:
    try:
        stat = entry.stat()
    except OSError as error:
        raise UserError(f"{entry.path}: cannot be read ({error.strerror})") from None
    if not S_ISREG(stat.st_mode):
        raise UserError(f"{entry.path}: must be a regular file")
    return ImageFile(folder, entry.name, stat.st_size, stat.st_mtime_ns)


def decode(path: str, size: int) -> Decoded:
    """Read one image, RGB and `size` pixels square.

    Raises:
        UserError: names the file, if it is damaged, no image or has more than 8 bits a channel.
    """
    from PIL import Image

    try:
        # A file of our own: of a damaged one Pillow's may stay open.
        with open(path, "rb") as file, Image.open(file) as image:
            mode = image.mode
            deep = mode.startswith(("I", "F"))
            rgb = None if deep else image.convert("RGB")
    except Exception as error:  # Pillow's readers let through what a damaged file makes them raise
        raise UserError(f"{path}: damaged, not an image, or unreadable ({why(error)})") from None
    if rgb is None:
        raise UserError(f"{path}: must have 8 bits per channel (has Pillow's mode {mode})")
    was_grey = mode in GREY_MODES
    if rgb.size == (size, size):
        return Decoded(np.asarray(rgb), False, was_grey)
    return Decoded(resize(rgb, size), True, was_grey)


def resize(image: PillowImage, size: int) -> NDArray[np.uint8]:
    """Return a Pillow image `size` pixels square, whatever its shape was."""
    from PIL import Image

    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))
