"""Arrays of images in .npy and .npz files: reading them, and how their axes are meant."""

from __future__ import annotations

import math
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from resnet_sweep.config.errors import UserError, why

NPY_MAGIC = b"\x93NUMPY"
MIN_SIDE = 4  # also keeps [N, H, W, 3] and [N, 3, H, W] apart
ALLOWED_IMAGES = (
    "images must be uint8 [N, H, W, 3], [N, 3, H, W], grey [N, H, W], "
    "or rows [N, 3*S*S] with the channels one after another; H and W at least 4"
)


class Header(NamedTuple):
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def open_npy(path: Path) -> NDArray[Any]:
    """Return the array in an .npy file, left on disk until it is used.

    Raises:
        UserError: names the file, if it is damaged or holds Python objects.
    """
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or why(error)})") from None
    except Exception as error:  # NumPy lets through what a damaged file makes it raise
        raise UserError(f"{path}: damaged .npy, or of Python objects ({_short(error)})") from None
    if not isinstance(array, np.ndarray):
        raise UserError(f"{path}: damaged .npy (it is an archive)")
    return array


def read_npz_headers(path: Path) -> dict[str, Header]:
    """Return shape and type of the arrays in an .npz file, without reading them.

    Raises:
        UserError: names the file, if it is damaged or holds no array.
    """
    found = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                if member.endswith(".npy"):
                    with archive.open(member) as file:
                        found[member.removesuffix(".npy")] = _read_header(file)
    except Exception as error:  # a damaged archive raises almost anything
        raise UserError(f"{path}: damaged .npz ({_short(error)})") from None
    if not found:
        raise UserError(f"{path}: must be an .npz of arrays; holds none")
    return found


def read_npz(path: Path, name: str) -> NDArray[Any]:
    """Return one array of an .npz file.

    Raises:
        UserError: names the file, and what it lacks, or what is damaged or holds Python objects.
    """
    if name not in read_npz_headers(path):
        raise UserError(f"{path}: must be an .npz with `{name}`")
    try:
        with np.load(path, allow_pickle=False) as archive:
            array: NDArray[Any] = archive[name]
    except Exception as error:  # as above
        raise UserError(
            f"{path}: {name}: damaged, or of Python objects ({_short(error)})"
        ) from None
    return array


def _read_header(file: IO[bytes]) -> Header:
    version = np.lib.format.read_magic(file)
    is_first = version == (1, 0)
    read = np.lib.format.read_array_header_1_0 if is_first else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    return Header(shape, dtype)


def _short(error: Exception) -> str:
    return why(error)[:120]


@dataclass(frozen=True)
class ArrayLayout:
    """The layout of an array of images.

    Args:
        name: the axes, for a person.
        is_last: the channels are the last axis.
    """

    name: str
    channels: int
    height: int
    width: int
    is_last: bool = False

    def arrange(self, block: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return some images as RGB, [n, 3, height, width]; grey ones have one channel thrice."""
        if self.is_last:
            images = block.transpose(0, 3, 1, 2)
        else:
            images = block.reshape(len(block), self.channels, self.height, self.width)
        return np.repeat(images, 3, axis=1) if self.channels == 1 else images


def find_layout(shape: tuple[int, ...]) -> ArrayLayout | None:
    """Return the layout of an array of this shape; None: these are no images."""
    layout = _find(shape)
    return layout if layout and min(layout.height, layout.width) >= MIN_SIDE else None


def _find(shape: tuple[int, ...]) -> ArrayLayout | None:
    match shape:
        case (_, height, width, (1 | 3) as channels) if shape[1] not in (1, 3):
            return ArrayLayout("N,H,W,C", channels, height, width, is_last=True)
        case (_, (1 | 3) as channels, height, width):
            return ArrayLayout("N,C,H,W", channels, height, width)
        case (_, height, width):
            return ArrayLayout("N,H,W", 1, height, width)
        case (_, length):
            for channels in (3, 1):
                side = math.isqrt(length // channels)
                if length == channels * side * side:
                    return ArrayLayout(f"rows of {length}, channel first", channels, side, side)
    return None
