"""Images in arrays, read a few at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnet_sweep.config.errors import UserError
from resnet_sweep.data.array_layout import ArrayLayout, find_layout
from resnet_sweep.data.image_files import resize

ALLOWED = (
    "images must be uint8 [N, H, W, 3], [N, 3, H, W], grey [N, H, W], "
    "or rows [N, 3*S*S] with the channels one after another; H and W at least 4"
)


def check_layout(shape: tuple[int, ...], dtype: np.dtype[Any], where: str) -> ArrayLayout:
    """Return the layout of an array of images.

    Raises:
        UserError: these are no images.
    """
    layout = find_layout(shape) if dtype == np.uint8 else None
    if layout is None:
        raise UserError(f"{where}: {ALLOWED}; found {dtype} {list(shape)}")
    return layout


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
