"""From an image file to RGB pixels, as a viewer shows it, and what had to be changed for that."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from resnet_sweep.config.errors import UserError, why

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

GREY, COLORS, DEEP, TRANSPARENT = "grey", "colors", "deep", "transparent"
TURNED, FRAMES, RESIZED = "turned", "frames", "resized"
_ORIENTATION = 274  # the EXIF and TIFF tag
# Of grey PNG files of 2 and 4 bits: how far apart Pillow spreads their shades.
_SPREAD = {"L;2": 85, "L;4": 17}
_BITS_PER_SAMPLE, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0
MAX_THREADS = 8
# Up to this many bytes, handing a file to a thread costs more than the thread gains.
SMALL_FILE = 16 * 1024


def decode(path: str, size: int, background: str) -> tuple[NDArray[np.uint8], set[str]]:
    """Return one image as RGB, uint8 [size, size, 3], and what was changed: GREY, COLORS and so on.

    It is turned as its EXIF orientation says, laid over `background` (black or white) where it
    is transparent, and the first where a file holds several.

    Raises:
        UserError: names the file, if it is damaged, no image, or has numbers of 32 bits.
    """
    from PIL import Image

    try:
        # A file of our own: of a damaged one Pillow's may stay open.
        with open(path, "rb") as file, Image.open(file) as image:
            changes = _find_changes(image)
            tiles = getattr(image, "tile", ())
            # How the file stores its pixels, in Pillow's words; known until they are read.
            layout = tiles[0][3] if tiles else None
            image.load()
            _correct_clear_colour(image, layout, path)
            upright = _turn(image, changes)
            if image.mode.startswith(("I", "F")):
                upright = _to_8_bits(upright, path)
            rgb = _lay_over(upright, background, changes)
    except UserError:
        raise
    except Exception as error:  # Pillow's readers let through what a damaged file makes them raise
        raise UserError(f"{path}: damaged, not an image, or unreadable ({why(error)})") from None
    if rgb.size == (size, size):
        return np.asarray(rgb), changes
    return resize(rgb, size), changes | {RESIZED}


def resize(image: PillowImage, size: int) -> NDArray[np.uint8]:
    """Return a Pillow image `size` pixels square, whatever its shape was."""
    from PIL import Image

    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))


def _find_changes(image: PillowImage) -> set[str]:
    """Return what can be told before the pixels are read, which some formats change."""
    changes = set()
    if image.mode in ("1", "L", "LA", "La") or image.mode.startswith(("I", "F")):
        changes.add(GREY)
    elif image.mode in ("CMYK", "YCbCr", "LAB", "HSV"):
        changes.add(COLORS)
    tiles = getattr(image, "tile", ())
    if image.mode.startswith("I") or any(";16" in str(tile[3:]) for tile in tiles):
        changes.add(DEEP)
    if getattr(image, "is_animated", False):
        changes.add(FRAMES)
    if getattr(image, "tag_v2", {}).get(_ORIENTATION, 1) in range(2, 9):
        changes.add(TURNED)  # Pillow turns TIFF files by itself
    return changes


def _correct_clear_colour(image: PillowImage, layout: object, path: str) -> None:
    """Let pixels be transparent that Pillow compares in other units than those of the file."""
    clear = image.info.get("transparency")
    if isinstance(layout, str) and layout in _SPREAD and isinstance(clear, int):
        spread = _SPREAD[layout]
        if clear <= 255 // spread:  # as the file counts
            image.info["transparency"] = clear * spread
    elif layout == "RGB;16B" and isinstance(clear, tuple):
        from PIL import Image

        # Pillow leaves the lower bytes out: they are read as the upper ones of the other order.
        with open(path, "rb") as file, Image.open(file) as swapped:
            swapped.tile = [tile._replace(args="RGB;16L") for tile in swapped.tile]
            values = np.asarray(image).astype(np.uint16) << 8 | np.asarray(swapped)
        alpha = np.where((values == clear).all(-1), 0, 255).astype(np.uint8)
        image.putalpha(Image.fromarray(alpha))


def _turn(image: PillowImage, changes: set[str]) -> PillowImage:
    """Return an image as its EXIF orientation says it is meant."""
    from PIL import ImageOps

    try:
        if image.getexif().get(_ORIENTATION, 1) not in range(2, 9):
            return image
        upright = ImageOps.exif_transpose(image)
    except Exception:  # damaged EXIF: viewers show the image as it is stored
        return image
    changes.add(TURNED)
    return upright


def _to_8_bits(image: PillowImage, path: str) -> PillowImage:
    """Return a grey image of 16 bits by its upper 8, as Pillow reads colours of 16 bits."""
    from PIL import Image

    is_full_range = image.mode.startswith("I;16")
    if image.mode == "I":  # Pillow spreads the values of Netpbm files over 16 bits of the 32
        with open(path, "rb") as file:
            is_full_range = file.read(2) in (b"P2", b"P5")
    if not is_full_range:
        allowed = f"must have 8 or 16 bits per channel (has Pillow's mode {image.mode})"
        raise UserError(f"{path}: {allowed}")
    values = np.asarray(image)
    tags = getattr(image, "tag_v2", {})  # of a TIFF, whose pixels Pillow leaves as they are stored
    bits = tags.get(_BITS_PER_SAMPLE, (16,))[0]
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        values = 2**bits - 1 - values
    grey = Image.fromarray((values >> (bits - 8)).astype(np.uint8))
    clear = image.info.get("transparency")
    if not isinstance(clear, int):
        return grey
    grey.putalpha(Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
    return grey


def _lay_over(image: PillowImage, background: str, changes: set[str]) -> PillowImage:
    """Return an image as RGB; what is transparent shows the background."""
    from PIL import Image

    if not image.has_transparency_data:
        return image.convert("RGB")
    above = image.convert("RGBA")
    if above.getchannel("A").getextrema() == (255, 255):
        return above.convert("RGB")
    changes.add(TRANSPARENT)
    canvas = Image.new("RGBA", above.size, background)
    canvas.alpha_composite(above)
    return canvas.convert("RGB")


class FileSource:
    """Images in files, read a few at a time; an ImageSource.

    Args:
        size: side S of the images that are read.
        background: what transparent images are laid over, black or white.
        notes: lines that go before those about the images read.
    """

    def __init__(
        self,
        paths: Sequence[str],
        size: int,
        background: str,
        notes: Sequence[str] = (),
    ) -> None:
        self.paths, self.size, self.background, self.notes = paths, size, background, notes
        self._changed: dict[str, set[int]] = {}

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, indices: Sequence[int]) -> NDArray[np.uint8]:
        images = np.empty((len(indices), 3, self.size, self.size), np.uint8)
        with warnings.catch_warnings():  # around all threads: the filters are the process's
            warnings.simplefilter("ignore")  # Pillow's, of 90 megapixels and of damaged EXIF
            decode_all = self._threads.map if self._is_large(indices[0]) else map
            for place, (pixels, changes) in enumerate(decode_all(self._decode, indices)):
                images[place] = pixels.transpose(2, 0, 1)
                for change in changes:
                    self._changed.setdefault(change, set()).add(indices[place])
        return images

    def changes(self) -> list[str]:
        told = {
            TURNED: "turned as their EXIF orientation says",
            TRANSPARENT: f"are transparent: laid over {self.background}",
            GREY: "are grey: taken as RGB",
            COLORS: "are CMYK or in other colours than RGB: taken as RGB",
            DEEP: "have 16 bits per channel: the upper 8 are taken",
            FRAMES: "hold several frames or pages: the first is taken",
            RESIZED: f"resized to {self.size}x{self.size}",
        }
        found = list(self.notes)
        for change, text in told.items():
            if places := self._changed.get(change):
                count = f"{len(places)} of {len(self)} images"
                found.append(f"{count} {text}, the first: {self.paths[min(places)]}")
        return found

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(min(MAX_THREADS, os.cpu_count() or 1), "decode")

    def _is_large(self, index: int) -> bool:
        try:
            return os.path.getsize(self.paths[index]) > SMALL_FILE
        except OSError:
            return False  # reading it says why

    def _decode(self, index: int) -> tuple[NDArray[np.uint8], set[str]]:
        try:
            return decode(self.paths[index], self.size, self.background)
        except UserError as error:
            raise UserError(f"{error}: image {index + 1} of {len(self)}") from None
