"""Images in arrays: which layout they have, and reading them a few at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnet_sweep.data.image_files import resize
from resnet_sweep.errors import UserError

MIN_SIDE = 4  # also keeps [N, H, W, 3] and [N, 3, H, W] apart
ALLOWED = (
    "images must be uint8 [N, H, W, 3], [N, 3, H, W], grey [N, H, W], "
    "or rows [N, 3*S*S] with the channels one after another; H and W at least 4"
)


@dataclass(frozen=True)
class ArrayLayout:
    """How the axes of an array of images are meant.

    Args:
        name: the axes, for a person.
        axes: of the array as four axes `shape`, in the order image, channel, row, column.
    """

    name: str
    shape: tuple[int, int, int]
    axes: tuple[int, int, int, int]
    channels: int
    height: int
    width: int

    def arrange(self, block: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return some images as [n, channels, height, width]."""
        return block.reshape(len(block), *self.shape).transpose(self.axes)


def find_layout(array_shape: tuple[int, ...], dtype: np.dtype[Any], where: str) -> ArrayLayout:
    """Return the layout of an array of images.

    Raises:
        UserError: these are no images.
    """
    layout = _find(array_shape) if dtype == np.uint8 else None
    if layout is None or min(layout.height, layout.width) < MIN_SIDE:
        raise UserError(f"{where}: {ALLOWED}; found {dtype} {list(array_shape)}")
    return layout


def is_images(array_shape: tuple[int, ...]) -> bool:
    """Whether an array has the shape of images, whatever its type."""
    layout = _find(array_shape)
    return layout is not None and min(layout.height, layout.width) >= MIN_SIDE


def _find(shape: tuple[int, ...]) -> ArrayLayout | None:
    last, first = (0, 3, 1, 2), (0, 1, 2, 3)
    match shape:
        case (_, height, width, (1 | 3) as channels) if shape[1] not in (1, 3):
            return ArrayLayout("N,H,W,C", (height, width, channels), last, channels, height, width)
        case (_, (1 | 3) as channels, height, width):
            return ArrayLayout("N,C,H,W", (channels, height, width), first, channels, height, width)
        case (_, height, width):
            return ArrayLayout("N,H,W", (1, height, width), first, 1, height, width)
        case (_, length):
            for channels in (3, 1):
                side = math.isqrt(length // channels)
                if length == channels * side * side:
                    name = f"rows of {length}, channel first"
                    return ArrayLayout(name, (channels, side, side), first, channels, side, side)
    return None


class ArraySource:
    """Images of one array, which may lie on disk.

    Args:
        size: side S of the images that are read.
    """

    def __init__(self, array: NDArray[np.uint8], layout: ArrayLayout, size: int) -> None:
        self.array, self.layout, self.size = array, layout, size

    def __len__(self) -> int:
        return len(self.array)

    def read(self, indices: Sequence[int]) -> NDArray[np.uint8]:
        images = self.layout.arrange(self._pick(indices))
        if self.layout.channels == 1:
            images = np.repeat(images, 3, axis=1)
        if images.shape[2:] != (self.size, self.size):
            images = _resize_all(images, self.size)
        return np.array(images, order="C")  # a copy: what lies on disk cannot be written to

    def changes(self) -> list[str]:
        layout, size, count = self.layout, self.size, len(self)
        found = []
        if layout.channels == 1:
            found.append(f"{count} of {count} images are grey: taken as RGB")
        if (layout.height, layout.width) != (size, size):
            was = f"{layout.width}x{layout.height}"
            found.append(f"{count} of {count} images resized from {was} to {size}x{size}")
        return found

    def _pick(self, indices: Sequence[int]) -> NDArray[np.uint8]:
        if isinstance(indices, range) and indices.step == 1:
            return self.array[indices.start : indices.stop]  # without a copy
        return self.array[np.asarray(indices, np.int64)]


class ChainSource:
    """Several sources, one behind the other."""

    def __init__(self, sources: Sequence[ArraySource]) -> None:
        self.sources = list(sources)
        self.starts = np.cumsum([0, *map(len, sources)])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def read(self, indices: Sequence[int]) -> NDArray[np.uint8]:
        wanted = np.asarray(indices, np.int64)
        owners = np.searchsorted(self.starts, wanted, "right") - 1
        size = self.sources[0].size
        images = np.empty((len(wanted), 3, size, size), np.uint8)
        for owner in np.unique(owners):
            mine = owners == owner
            images[mine] = self.sources[owner].read(wanted[mine] - self.starts[owner])
        return images

    def changes(self) -> list[str]:
        return list(dict.fromkeys(line for each in self.sources for line in each.changes()))


def _resize_all(images: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Return images [n, 3, H, W] as [n, 3, size, size], resized as image files are."""
    from PIL import Image

    resized = np.empty((len(images), 3, size, size), np.uint8)
    for index, image in enumerate(images.transpose(0, 2, 3, 1)):
        pixels = resize(Image.fromarray(np.ascontiguousarray(image)), size)
        resized[index] = pixels.transpose(2, 0, 1)
    return resized
